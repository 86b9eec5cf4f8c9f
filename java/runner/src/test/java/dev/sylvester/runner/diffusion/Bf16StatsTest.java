package dev.sylvester.runner.diffusion;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.StringTokenizer;
import org.junit.jupiter.api.Test;

/** {@link Precision#BF16_REF}: what PyTorch computes in bfloat16. */
class Bf16StatsTest {
  private static final Path VECTORS =
      Path.of(System.getProperty("sylvester.root"), "tests/golden/bf16_statistics.txt");

  private static RowStats stats(Sampling sampling, float... logits) {
    return RowStatsTest.stats(Precision.BF16_REF, sampling.withAllowMask(true), logits, null);
  }

  private static float[] floats(StringTokenizer fields, int count) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = Float.parseFloat(fields.nextToken());
    }
    return values;
  }

  private static Set<Integer> token(StringTokenizer fields) {
    int id = Integer.parseInt(fields.nextToken());
    return id < 0 ? Set.of() : Set.of(id);
  }

  /** Bit for bit: tests/golden/make_bf16_statistics.py. */
  @Test
  void areThoseOfPyTorch() throws IOException {
    int cases = 0;
    int others = 0;
    for (String line : Files.readAllLines(VECTORS)) {
      StringTokenizer fields = new StringTokenizer(line);
      boolean dream = fields.nextToken().equals("dream");
      double temperature = Double.parseDouble(fields.nextToken());
      double topP = Double.parseDouble(fields.nextToken());
      int topK = Integer.parseInt(fields.nextToken());
      Sampling sampling =
          Sampling.GREEDY
              .withAllowMask(true)
              .withTempered(dream)
              .withTemperature(temperature)
              .withFilters(topK, topP)
              .withGuidance(Double.parseDouble(fields.nextToken()))
              .withBanned(token(fields))
              .withDoubted(token(fields));
      int argmax = Integer.parseInt(fields.nextToken());
      double[] want = new double[4];
      for (int i = 0; i < want.length; i++) {
        want[i] = Double.parseDouble(fields.nextToken());
      }
      int cols = Integer.parseInt(fields.nextToken());
      float[] logits = floats(fields, cols);
      float[] unconditional = sampling.guidance() > 0 ? floats(fields, cols) : null;
      RowStats got = RowStatsTest.stats(Precision.BF16_REF, sampling, logits, unconditional);
      String name = "case " + cases++;
      assertThat(got.argmax(0)).describedAs(name).isEqualTo(argmax);
      if (temperature == 0) {
        assertThat(got.probability(0)).describedAs(name).isEqualTo(want[0]);
      }
      assertThat(got.probability(0, argmax)).describedAs(name).isEqualTo(want[0]);
      assertThat(got.margin(0)).describedAs(name).isEqualTo(want[1]);
      assertThat(got.entropy(0)).describedAs(name).isEqualTo(want[2]);
      assertThat(got.gap(0)).describedAs(name).isEqualTo(want[3]);
      RowStats exact = RowStatsTest.stats(Precision.F64, sampling, logits, unconditional);
      others += exact.argmax(0) == argmax ? 0 : 1;
    }
    assertThat(cases).isEqualTo(131);
    // Rounding decides between tokens.
    assertThat(others).isEqualTo(5);
  }

  @Test
  void theFirstOfEqualProbabilitiesWinsWhereDreamLooks() {
    // p is 0.21931, 0.21974 and 0.21931: 225/1024 to eight bits.
    float[] row = {0, 0.25f, 0.25f + 0x1p-9f, 0.25f, 0};
    RowStats dream = stats(Sampling.GREEDY.withTempered(true), row);
    assertThat(dream.argmax(0)).isEqualTo(1);
    assertThat(dream.token(0)).isEqualTo(1);
    assertThat(dream.margin(0)).isZero();
    RowStats llada = stats(Sampling.GREEDY, row);
    assertThat(llada.argmax(0)).isEqualTo(2);
    assertThat(llada.gap(0)).isEqualTo(0x1p-9);
    assertThat(llada.probability(0)).isEqualTo(dream.probability(0));
  }

  @Test
  void equalConfidencesGoToTheLowerPosition() {
    // 1 - p is 2e-4 and 5e-5: both are 1 to eight bits.
    float[][] rows = {{0, 8.5f, 0, 0}, {0, 0, 10, 0}};
    Oracle oracle =
        new Oracle(1, 4, false, false) {
          @Override
          float[] row(int[] tokens, int position) {
            return rows[position];
          }
        };
    DiffusionRequest request =
        DiffusionRequest.of(Canvas.of(new int[0], 2, 3), new SemiAutoregressive(2, 2));
    assertThat(new DiffusionDecoder(oracle, Precision.F64).fill(request).committedAt())
        .containsExactly(1, 0);
    assertThat(new DiffusionDecoder(oracle, Precision.BF16_REF).fill(request).committedAt())
        .containsExactly(0, 1);
  }

  @Test
  void aLogitThatOverflowsIsAnError() {
    assertThatThrownBy(() -> stats(Sampling.GREEDY, 0, Float.MAX_VALUE))
        .hasMessage("the logits of position 0 are not finite in step 0");
    assertThatThrownBy(
            () -> stats(Sampling.GREEDY.withTempered(true).withTemperature(0.01), 0, 1e38f))
        .hasMessage("the logits of position 0 are not finite in step 0");
  }
}
