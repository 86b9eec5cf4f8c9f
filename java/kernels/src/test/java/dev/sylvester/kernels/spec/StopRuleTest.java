package dev.sylvester.kernels.spec;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

class StopRuleTest {
  private static final RunningMeans MEANS = new RunningMeans(0.5, 2, 0.1);

  private record State(
      int count, double confidence, double entropy, double survival, int judged, int length)
      implements Progress {
    @Override
    public int position() {
      return 100;
    }

    @Override
    public RunningMeans means() {
      return MEANS;
    }

    @Override
    public double passNanos(int rows) {
      return rows <= 8 ? 1 + 0.0249 * (rows - 1) : rows <= 10 ? 1.324 : 1.6;
    }
  }

  private static State survival(int count, double survival, int judged) {
    return new State(count, Double.NaN, Double.NaN, survival, judged, 5);
  }

  /** How many candidates a rule takes when it goes on being told the same. */
  private static int length(StopRule rule, double confidence, double entropy, double survival) {
    int count = 1;
    while (rule.more(new State(count, confidence, entropy, survival, count - 1, 5))) {
      count++;
    }
    return count;
  }

  private static int survivalLength(StopRule rule, double survival) {
    return length(rule, Double.NaN, Double.NaN, survival);
  }

  @Test
  void constant() {
    assertThat(survivalLength(new StopRule.Constant(1), Double.NaN)).isEqualTo(1);
    assertThat(survivalLength(new StopRule.Constant(7), Double.NaN)).isEqualTo(7);
  }

  @Test
  void heuristic() {
    StopRule rule = new StopRule.Heuristic(5, 8);
    assertThat(rule.firstLength()).isEqualTo(5);
    assertThat(survivalLength(rule, Double.NaN)).isEqualTo(5);
    assertThat(rule.nextLength(5, 5, 5)).isEqualTo(7);
    assertThat(rule.nextLength(7, 7, 7)).isEqualTo(8);
    assertThat(rule.nextLength(5, 5, 4)).isEqualTo(4);
    assertThat(rule.nextLength(1, 1, 0)).isEqualTo(1);
  }

  @Test
  void confidenceAndEntropy() {
    StopRule confidence = new StopRule.Confidence(0.4, 2, 9);
    assertThat(length(confidence, 0.4, 0, 1)).isEqualTo(9);
    assertThat(length(confidence, 0.39, 0, 1)).isEqualTo(2);
    assertThat(length(confidence, Double.NaN, 0, 1)).isEqualTo(2);
    StopRule entropy = new StopRule.Entropy(1.5, 3, 9);
    assertThat(length(entropy, 1, 1.5, 1)).isEqualTo(9);
    assertThat(length(entropy, 1, 1.6, 1)).isEqualTo(3);
    assertThat(length(entropy, 1, Double.NaN, 1)).isEqualTo(3);
  }

  /** The paper's rule: stop when 1 - product > h; the table is counted by hand. */
  @Test
  void threshold() {
    double[] predicted = {0.9, 0.8, 0.9, 0.5, 0.9, 0.9}; // products .9 .72 .648 .324 .2916 .26244
    double[] thresholds = {0, 0.05, 0.1001, 0.3, 0.351, 0.353, 0.68, 0.71, 0.74, 1};
    int[] lengths = {2, 2, 3, 4, 4, 5, 6, 7, 8, 8};
    for (int i = 0; i < thresholds.length; i++) {
      StopRule rule = new StopRule.Threshold(thresholds[i], 1, 8);
      double product = 1;
      int count = 1;
      while (rule.more(survival(count, product, count - 1))) {
        // The candidate that was last is judged when the next one is drafted.
        product *= count <= predicted.length ? predicted[count - 1] : 1;
        count++;
      }
      assertThat(count).as("h = %s", thresholds[i]).isEqualTo(lengths[i]);
    }
  }

  @Test
  void extremeThresholdsGiveTheBounds() {
    assertThat(survivalLength(new StopRule.Threshold(0, 2, 20), 0.999)).isEqualTo(2);
    assertThat(survivalLength(new StopRule.Threshold(1, 2, 20), 0)).isEqualTo(20);
    assertThat(survivalLength(new StopRule.Threshold(1, 2, 20), Double.NaN)).isEqualTo(2);
    assertThat(survivalLength(new StopRule.Cost(3, 20), Double.NaN)).isEqualTo(3);
  }

  /**
   * tokens per time 2, a candidate costs 0.1 + 0.0249: worth it from a probability of 0.2498 on.
   */
  @Test
  void cost() {
    StopRule rule = new StopRule.Cost(1, 20);
    // Judged but for the last: that and the next one are accepted with the mean, 0.5 each.
    assertThat(rule.more(survival(3, 1, 2))).isTrue();
    assertThat(rule.more(survival(3, 0.999, 2))).isFalse();
    // All judged: only the next one is unknown.
    assertThat(rule.more(survival(3, 0.5, 3))).isTrue();
    assertThat(rule.more(survival(3, 0.499, 3))).isFalse();
    assertThat(rule.more(survival(20, 1, 20))).isFalse();
    assertThat(new StopRule.Cost(5, 20).more(survival(4, 0, 4))).isTrue();
  }

  /** Row 9 costs 0.15, row 10 nothing: two candidates may pay where one does not. */
  @Test
  void costLooksBeyondADearRow() {
    StopRule rule = new StopRule.Cost(1, 20);
    // One: 0.5 s - 0.2 against 0.3, that is s >= 1. Two: 0.75 s - 0.4 against 0.3: s >= 0.933.
    assertThat(rule.more(survival(7, 0.94, 7))).isTrue();
    assertThat(rule.more(survival(7, 0.93, 7))).isFalse();
    assertThat(new StopRule.Cost(1, 8).more(survival(7, 0.94, 7))).isFalse();
    assertThat(new StopRule.Cost(1, 8).more(survival(7, 1, 7))).isTrue();
    assertThat(rule.more(survival(8, 0.41, 8))).isTrue();
    assertThat(rule.more(survival(8, 0.39, 8))).isFalse();
  }

  @Test
  void oracle() {
    StopRule rule = new StopRule.Oracle(position -> position / 25, 20);
    assertThat(survivalLength(rule, 0)).isEqualTo(4);
    assertThat(survivalLength(new StopRule.Oracle(position -> 99, 20), 0)).isEqualTo(20);
  }

  @Test
  void badArgumentsAreRefused() {
    assertThatThrownBy(() -> new StopRule.Constant(0)).hasMessageContaining("1..0");
    assertThatThrownBy(() -> new StopRule.Constant(256)).hasMessageContaining("256");
    assertThatThrownBy(() -> new StopRule.Cost(0, 5)).hasMessageContaining("0..5");
    assertThatThrownBy(() -> new StopRule.Heuristic(6, 5)).hasMessageContaining("6..5");
    assertThatThrownBy(() -> new StopRule.Threshold(Double.NaN, 1, 5))
        .hasMessageContaining("h is NaN");
    assertThatThrownBy(() -> new StopRule.Confidence(Double.NaN, 1, 5)).hasMessageContaining("NaN");
    assertThatThrownBy(() -> new StopRule.Entropy(Double.NaN, 1, 5)).hasMessageContaining("NaN");
  }
}
