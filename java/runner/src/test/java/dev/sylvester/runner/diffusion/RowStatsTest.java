package dev.sylvester.runner.diffusion;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;

/** Against plain sums over the definition. */
@ParameterizedClass
@EnumSource(names = {"F32", "F64"})
class RowStatsTest {
  @Parameter private Precision precision;

  /** Of sums. */
  private double error() {
    return precision == Precision.F64 ? 1e-12 : 2e-6;
  }

  private static final int MASK = 0;
  private static final float NEVER = Float.NEGATIVE_INFINITY;

  private RowStats stats(Sampling sampling, float... logits) {
    return seeded(sampling, 0, logits);
  }

  private RowStats seeded(Sampling sampling, long seed, float... logits) {
    return stats(precision, sampling.withSeed(seed), logits, null);
  }

  /** Of one row; the mask token is 0. */
  static RowStats stats(
      Precision precision, Sampling sampling, float[] logits, float[] unconditional) {
    Canvas canvas = Canvas.of(new int[0], 1, MASK);
    DiffusionRequest request =
        DiffusionRequest.of(canvas, new SemiAutoregressive(1, 1)).withSampling(sampling);
    Decoding decoding = new Decoding(request, logits.length, false, precision);
    Predictions predictions = new Predictions(1);
    predictions.add(0);
    RowStats stats = decoding.stats();
    stats.compute(segment(logits), segment(unconditional), predictions, decoding);
    return stats;
  }

  private static MemorySegment segment(float[] values) {
    return values == null ? null : Arena.ofAuto().allocateFrom(ValueLayout.JAVA_FLOAT, values);
  }

  private static float[] random(int size, double spread) {
    Random random = new Random(size);
    float[] row = new float[size];
    for (int v = 0; v < size; v++) {
      row[v] = (float) (random.nextGaussian() * spread);
    }
    return row;
  }

  @Test
  void areThoseOfTheDefinition() {
    for (int size : new int[] {2, 127, 768}) {
      for (double scale : new double[] {1, 1 / 0.7}) {
        float[] row = random(size, 3);
        row[MASK] = 50;
        RowStats got =
            stats(
                scale == 1
                    ? Sampling.GREEDY
                    : Sampling.GREEDY.withTemperature(1 / scale).withTempered(true),
                row);
        double sum = 0;
        int first = 1;
        for (int v = 1; v < size; v++) {
          sum += Math.exp(row[v] * scale);
          first = row[v] > row[first] ? v : first;
        }
        double second = Double.NEGATIVE_INFINITY;
        double entropy = 0;
        for (int v = 1; v < size; v++) {
          double p = Math.exp(row[v] * scale) / sum;
          entropy -= p * Math.log(p);
          second = v == first ? second : Math.max(second, row[v]);
        }
        double p1 = Math.exp(row[first] * scale) / sum;
        assertThat(got.argmax(0)).isEqualTo(first);
        assertThat(got.gap(0)).isEqualTo(row[first] - second);
        assertThat(got.entropy(0)).isCloseTo(entropy, within(error() + error() * entropy));
        assertThat(got.margin(0)).isCloseTo(p1 - Math.exp(second * scale) / sum, within(error()));
        double token = Math.exp(row[got.token(0)] * scale) / sum;
        assertThat(got.probability(0)).isCloseTo(token, within(error()));
      }
    }
  }

  @Test
  void confidenceAfterADrawIsThatWithoutTemperature() {
    float[] row = {0, 1, 2, 3};
    double sum = Math.exp(1) + Math.exp(2) + Math.exp(3);
    int[] drawn = new int[4];
    for (int seed = 0; seed < 300; seed++) {
      RowStats got = seeded(Sampling.GREEDY.withTemperature(2), seed, row);
      drawn[got.token(0)]++;
      assertThat(got.probability(0)).isCloseTo(Math.exp(got.token(0)) / sum, within(error()));
    }
    assertThat(drawn[MASK]).isZero();
    assertThat(drawn).satisfies(d -> assertThat(d[1]).isPositive());
    assertThat(drawn[2]).isGreaterThan(drawn[1]);
  }

  @Test
  void drawsFollowTheSoftmax() {
    float[] row = {0, 0.5f, 1, -1, 2};
    double t = 0.8;
    double sum = 0;
    for (int v = 1; v < row.length; v++) {
      sum += Math.exp(row[v] / t);
    }
    int draws = 40_000;
    int[] drawn = new int[row.length];
    for (int seed = 0; seed < draws; seed++) {
      drawn[seeded(Sampling.GREEDY.withTemperature(t), seed, row).token(0)]++;
    }
    double chi = 0;
    for (int v = 1; v < row.length; v++) {
      double want = draws * Math.exp(row[v] / t) / sum;
      chi += Math.pow(drawn[v] - want, 2) / want;
    }
    // The 99.9th percentile with three degrees of freedom.
    assertThat(chi).isLessThan(16.3);
  }

  @Test
  void knowsBannedAndDoubtedTokens() {
    float[] row = {9, 3, 2, 1};
    RowStats banned = stats(Sampling.GREEDY.withBanned(Set.of(1)), row);
    assertThat(banned.argmax(0)).isEqualTo(2);
    assertThat(banned.gap(0)).isEqualTo(1);
    assertThat(banned.probability(0)).isCloseTo(1 / (1 + Math.exp(-1)), within(error()));
    assertThat(banned.probability(0, 1)).isZero();
    RowStats doubted = stats(Sampling.GREEDY.withDoubted(Set.of(1)), row);
    assertThat(doubted.argmax(0)).isEqualTo(1);
    assertThat(doubted.probability(0)).isZero();
    RowStats other = stats(Sampling.GREEDY.withDoubted(Set.of(2)), row);
    assertThat(other.probability(0)).isCloseTo(1 / (1 + Math.exp(-2)), within(error()));
    assertThat(stats(Sampling.GREEDY.withAllowMask(true), row).argmax(0)).isEqualTo(MASK);
  }

  @Test
  void filtersComeBeforeTheProposal() {
    float[] row = {9, 3, 2, 2, 1, 0};
    double e = Math.exp(-1);
    for (Sampling three :
        new Sampling[] {
          Sampling.GREEDY.withFilters(3, 1), // the third is as probable as the second
          Sampling.GREEDY.withFilters(2, 1),
          Sampling.GREEDY.withFilters(0, 0.6),
          Sampling.GREEDY.withFilters(4, 0.6)
        }) {
      RowStats got = stats(three, row);
      assertThat(got.probability(0)).isCloseTo(1 / (1 + 2 * e), within(error()));
      assertThat(got.margin(0)).isCloseTo((1 - e) / (1 + 2 * e), within(error()));
      assertThat(got.entropy(0))
          .isCloseTo(Math.log(1 + 2 * e) + 2 * e / (1 + 2 * e), within(error()));
      for (int seed = 0; seed < 200; seed++) {
        assertThat(seeded(three.withTemperature(50), seed, row).token(0)).isBetween(1, 3);
      }
    }
    RowStats one = stats(Sampling.GREEDY.withFilters(1, 1), row);
    assertThat(one.probability(0)).isEqualTo(1);
    assertThat(one.margin(0)).isEqualTo(1);
    assertThat(one.entropy(0)).isZero();
    assertThat(one.gap(0)).isEqualTo(1); // of all
    RowStats doubted = stats(Sampling.GREEDY.withDoubted(Set.of(1)).withFilters(1, 1), row);
    assertThat(doubted.argmax(0)).isEqualTo(1);
    assertThat(doubted.probability(0)).isZero();
    assertThat(doubted.entropy(0)).isCloseTo(Math.log(2), within(error()));
  }

  @Test
  void standsExtremeRows() {
    RowStats oneHot = stats(Sampling.GREEDY, NEVER, NEVER, 5, NEVER);
    assertThat(oneHot.argmax(0)).isEqualTo(2);
    assertThat(oneHot.probability(0)).isEqualTo(1);
    assertThat(oneHot.entropy(0)).isZero();
    assertThat(oneHot.margin(0)).isEqualTo(1);
    assertThat(oneHot.gap(0)).isInfinite();
    RowStats equal = stats(Sampling.GREEDY.withAllowMask(true), 7, 7, 7, 7);
    assertThat(equal.argmax(0)).isZero();
    assertThat(equal.gap(0)).isZero();
    assertThat(equal.margin(0)).isZero();
    assertThat(equal.entropy(0)).isCloseTo(Math.log(4), within(error()));
    RowStats far = stats(Sampling.GREEDY, 0, 1e30f, -1e30f);
    assertThat(far.probability(0)).isEqualTo(1);
    assertThat(far.entropy(0)).isZero();
    for (float bad : new float[] {Float.NaN, Float.POSITIVE_INFINITY}) {
      assertThatThrownBy(() -> stats(Sampling.GREEDY, 0, bad, 1))
          .isInstanceOf(IllegalStateException.class)
          .hasMessage("the logits of position 0 are not finite in step 0");
    }
    assertThatThrownBy(() -> stats(Sampling.GREEDY, 1, NEVER, NEVER))
        .hasMessageContaining("not finite");
  }
}
