package dev.sylvester.kernels;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.data.Offset.offset;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** The optimizer against its formula in double, and the learning rate's course. */
class AdamWTest {
  private static final int COUNT = 37;

  @Test
  void stepsAreThoseOfTheFormula() {
    Random random = new Random(3);
    double[] want = random.doubles(COUNT, -1, 1).toArray();
    double[] mean = new double[COUNT];
    double[] square = new double[COUNT];
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment parameters = arena.allocate(JAVA_FLOAT, COUNT);
      MemorySegment gradient = arena.allocate(JAVA_FLOAT, COUNT);
      for (int i = 0; i < COUNT; i++) {
        parameters.setAtIndex(JAVA_FLOAT, i, (float) want[i]);
      }
      AdamW optimizer = AdamW.of(parameters, 0.1f, arena);
      for (int step = 1; step <= 3; step++) {
        double rate = 0.01 * step;
        for (int i = 0; i < COUNT; i++) {
          gradient.setAtIndex(JAVA_FLOAT, i, random.nextFloat() - 0.5f);
          double g = 0.25 * gradient.getAtIndex(JAVA_FLOAT, i);
          mean[i] = 0.9 * mean[i] + 0.1 * g;
          square[i] = 0.999 * square[i] + 0.001 * g * g;
          double root = Math.sqrt(square[i] / (1 - Math.pow(0.999, step))) + 1e-8;
          double change = mean[i] / (1 - Math.pow(0.9, step)) / root;
          want[i] -= rate * (0.1 * want[i] + change);
        }
        optimizer.step(gradient, 0.25f, (float) rate, null);
        assertThat(optimizer.steps()).isEqualTo(step);
      }
      for (int i = 0; i < COUNT; i++) {
        double got = parameters.getAtIndex(JAVA_FLOAT, i);
        // Some roundings of numbers up to 1 at each of three steps.
        assertThat(got).isCloseTo(want[i], offset(3e-6));
      }
      MemorySegment small = arena.allocate(JAVA_FLOAT, COUNT - 1);
      assertThatThrownBy(() -> optimizer.step(small, 1, 0.1f, null))
          .isInstanceOf(SylvesterException.class)
          .hasMessageContaining("gradient has " + 4 * (COUNT - 1) + " bytes");
      assertThatThrownBy(() -> optimizer.step(gradient, 1, -1, null))
          .isInstanceOf(SylvesterException.class)
          .hasMessageContaining("learning_rate");
      assertThat(optimizer.steps()).isEqualTo(3);
    }
  }

  @Test
  void ratesRiseAndFall() {
    CosineSchedule schedule = new CosineSchedule(0.5f, 0.25f, 8);
    // 2 of 8 steps rise; then the cosine's course over 6, from its top.
    assertThat(schedule.rate(1)).isEqualTo(0.25f);
    assertThat(schedule.rate(2)).isEqualTo(0.5f);
    assertThat(schedule.rate(3)).isEqualTo(0.5f);
    assertThat((double) schedule.rate(6)).isCloseTo(0.25, offset(1e-7));
    assertThat((double) schedule.rate(8))
        .isCloseTo(0.25 * (1 + Math.cos(Math.PI * 5 / 6)), offset(1e-7));
    assertThat(new CosineSchedule(0.5f, 0, 1).rate(1)).isEqualTo(0.5f);
  }
}
