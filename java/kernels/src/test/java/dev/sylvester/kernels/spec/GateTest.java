package dev.sylvester.kernels.spec;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import java.util.Random;
import org.junit.jupiter.api.Test;

/** The gate, and the means that it and the cost rule decide by. */
class GateTest {
  @Test
  void closesWhenDraftingDoesNotPayAndLooksEvery64Rounds() {
    Gate gate = new Gate();
    int drafted = 0;
    for (int round = 0; round < 64 * 20; round++) {
      if (gate.open()) {
        drafted++;
        gate.add(1, 1.5, 1); // a token in the time of one and a half
      }
    }
    assertThat(drafted).isBetween(20, 27);
    // Now drafts are good: the next look sees some of it, and soon the gate is open.
    int rounds = 0;
    int inARow = 0;
    while (inARow < 10 && rounds < 64 * 6) {
      rounds++;
      if (gate.open()) {
        inARow++;
        gate.add(4, 1.5, 1);
      } else {
        inARow = 0;
      }
    }
    assertThat(inARow).isEqualTo(10);
  }

  @Test
  void staysOpenWhileDraftingPays() {
    Gate gate = new Gate();
    for (int round = 0; round < 1000; round++) {
      assertThat(gate.open()).isTrue();
      gate.add(2, 1.5, 1);
      gate.add(0, 0.001, 1); // a look at a text that repeats nothing costs next to nothing
    }
  }

  @Test
  void passesAreAStraightLine() {
    PassCosts costs = new PassCosts();
    assertThat(costs.empty()).isTrue();
    assertThat(costs.first()).isNaN();
    Random random = new Random(2);
    costs.add(5, 140);
    costs.add(5, 140);
    assertThat(costs.unknown()).isTrue();
    for (int i = 0; i < 300; i++) {
      int rows = 1 + random.nextInt(8);
      double noise = 1 + 0.02 * random.nextGaussian();
      costs.add(rows, (100 + 10 * (rows - 1)) * noise * (i % 50 == 7 ? 20 : 1));
    }
    assertThat(costs.unknown()).isFalse();
    assertThat(costs.first()).isCloseTo(100, offset(15.0));
    assertThat(costs.further()).isCloseTo(10, offset(6.0));
  }

  @Test
  void acceptanceIsLearnedByConfidence() {
    SourceMeans means = new SourceMeans();
    assertThat(means.mean()).isEqualTo(0.7);
    assertThat(means.nanosPerCandidate()).isZero();
    Random random = new Random(3);
    for (int i = 0; i < 20_000; i++) {
      double confidence = random.nextDouble();
      means.add(confidence, random.nextDouble() < confidence * confidence);
    }
    for (double confidence = 0.125; confidence < 1; confidence += 0.25) {
      assertThat((double) means.estimate(confidence))
          .isCloseTo(confidence * confidence, offset(0.1));
    }
    assertThat(means.mean()).isCloseTo(1 / 3.0, offset(0.06));
    assertThat((double) means.estimate(Double.NaN)).isCloseTo(means.mean(), offset(1e-6));
    means.addDraft(4, 100);
    assertThat(means.nanosPerCandidate()).isEqualTo(25);
  }
}
