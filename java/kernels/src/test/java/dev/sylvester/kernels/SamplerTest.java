package dev.sylvester.kernels;

import static dev.sylvester.kernels.TestData.assertRefused;
import static dev.sylvester.kernels.TestData.floats;
import static dev.sylvester.kernels.TestData.ints;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.stream.LongStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class SamplerTest {
  private static final float[] LOGITS = {0.5f, 2, -1, 1.5f, 0};

  private final Arena arena = Arena.ofConfined();
  private final Workspace workspace = new Workspace();
  private final MemorySegment logits = floats(arena, LOGITS);

  @AfterEach
  void free() {
    workspace.close();
    arena.close();
  }

  private int draw(SamplerOptions options, long position) {
    return Sampler.of(options, arena).sample(logits, LOGITS.length, position, workspace);
  }

  @Test
  void greedyTakesTheLargest() {
    Sampler sampler = Sampler.of(SamplerOptions.GREEDY, arena);
    assertThat(sampler.logProbability()).isNaN();
    assertThat(sampler.sample(logits, 5, 0, workspace)).isEqualTo(1);
    assertThat(sampler.options()).isEqualTo(SamplerOptions.GREEDY);
  }

  @Test
  void biasAndPenaltiesMoveTheLargest() {
    Sampler sampler = Sampler.of(SamplerOptions.GREEDY, arena);
    MemorySegment ids = ints(arena, 2, 1);
    MemorySegment bias = floats(arena, 4, -1);
    assertThat(sampler.sample(logits, 5, null, 0, ids, bias, 2, 0, workspace)).isEqualTo(2);
    Sampler penalised = Sampler.of(SamplerOptions.GREEDY.withPenalties(1, 0.3f, 0.15f), arena);
    MemorySegment once = ints(arena, 1);
    MemorySegment twice = ints(arena, 1, 1);
    assertThat(penalised.sample(logits, 5, once, 1, null, null, 0, 0, workspace)).isEqualTo(1);
    assertThat(penalised.sample(logits, 5, twice, 2, null, null, 0, 0, workspace)).isEqualTo(3);
    Sampler repetition = Sampler.of(SamplerOptions.GREEDY.withPenalties(1.5f, 0, 0), arena);
    assertThat(repetition.sample(logits, 5, once, 1, null, null, 0, 0, workspace)).isEqualTo(3);
  }

  @Test
  void drawsFollowTheDistribution() {
    SamplerOptions options = SamplerOptions.GREEDY.withTemperature(0.8f).withSeed(7);
    Sampler sampler = Sampler.of(options, arena);
    double sum = 0;
    for (float logit : LOGITS) {
      sum += Math.exp(logit / 0.8);
    }
    int draws = 20_000;
    int[] counts = new int[LOGITS.length];
    for (int position = 0; position < draws; position++) {
      int token = sampler.sample(logits, LOGITS.length, position, workspace);
      counts[token]++;
      assertThat((double) sampler.logProbability())
          .isCloseTo(LOGITS[token] / 0.8 - Math.log(sum), offset(1e-5));
    }
    for (int i = 0; i < LOGITS.length; i++) {
      double p = Math.exp(LOGITS[i] / 0.8) / sum;
      assertThat(counts[i] / (double) draws)
          .isCloseTo(p, offset(5 * Math.sqrt(p * (1 - p) / draws)));
    }
  }

  @Test
  void sameSeedAndPositionGiveTheSameDraw() {
    SamplerOptions options = SamplerOptions.GREEDY.withTemperature(1).withSeed(-1);
    boolean seedMatters = false;
    for (long position = 0; position < 50; position++) {
      assertThat(draw(options, position)).isEqualTo(draw(options, position));
      seedMatters |= draw(options, position) != draw(options.withSeed(1), position);
    }
    assertThat(seedMatters).isTrue();
  }

  @Test
  void filtersKeepTheMostProbable() {
    SamplerOptions hot = SamplerOptions.GREEDY.withTemperature(100).withSeed(3);
    // At this temperature all five are nearly equally probable (1/5).
    assertThat(tokens(hot)).containsExactly(0, 1, 2, 3, 4);
    assertThat(tokens(hot.withTopK(2))).containsExactly(1, 3);
    assertThat(tokens(hot.withTopP(0.5f))).containsExactly(0, 1, 3);
    SamplerOptions plain = SamplerOptions.GREEDY.withTemperature(1).withSeed(3);
    assertThat(tokens(plain.withMinP(0.2f))).containsExactly(0, 1, 3);
  }

  private int[] tokens(SamplerOptions options) {
    return LongStream.range(0, 500)
        .mapToInt(position -> draw(options, position))
        .distinct()
        .sorted()
        .toArray();
  }

  @Test
  void badArgumentsAreRefused() {
    SamplerOptions greedy = SamplerOptions.GREEDY;
    assertRefused(Status.BAD_VALUE, "temperature", () -> draw(greedy.withTemperature(-1), 0));
    assertRefused(Status.BAD_VALUE, "top_k", () -> draw(greedy.withTopK(-1), 0));
    assertRefused(Status.BAD_VALUE, "top_p", () -> draw(greedy.withTopP(0), 0));
    assertRefused(Status.BAD_VALUE, "min_p", () -> draw(greedy.withMinP(1.5f), 0));
    assertRefused(
        Status.BAD_VALUE, "repetition_penalty", () -> draw(greedy.withPenalties(0, 0, 0), 0));
    assertRefused(Status.BAD_VALUE, "position", () -> draw(greedy, -1));
    Sampler sampler = Sampler.of(greedy, arena);
    assertRefused(Status.BAD_SHAPE, "logits has", () -> sampler.sample(logits, 6, 0, workspace));
    assertRefused(
        Status.NULL_ARGUMENT,
        "history is null",
        () -> sampler.sample(logits, 5, null, 1, null, null, 0, 0, workspace));
    assertRefused(
        Status.BAD_VALUE,
        "5",
        () -> sampler.sample(logits, 5, ints(arena, 5), 1, null, null, 0, 0, workspace));
    MemorySegment nan = floats(arena, Float.NaN, Float.NEGATIVE_INFINITY);
    assertRefused(Status.BAD_VALUE, "", () -> sampler.sample(nan, 2, 0, workspace));
  }
}
