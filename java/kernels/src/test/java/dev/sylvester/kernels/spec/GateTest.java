package dev.sylvester.kernels.spec;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;
import static org.assertj.core.data.Percentage.withPercentage;

import java.util.Random;
import org.junit.jupiter.api.Test;

/** The gate, and the means that it and the cost rule decide by. */
class GateTest {
  @Test
  void closesWhenDraftingDoesNotPayAndLooksAfter64Rounds() {
    Gate gate = new Gate();
    int drafted = 0;
    for (int round = 0; round < 64 * 20; round++) {
      if (gate.open()) {
        drafted++;
        gate.add(1, 1.5, 1, false); // a token in the time of one and a half
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
        gate.add(4, 1.5, 1, false);
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
      gate.add(2, 1.5, 1, false);
      gate.add(0, 0.001, 1, false); // a look at a text that repeats nothing costs next to nothing
    }
  }

  @Test
  void theFirstRoundOfALookDoesNotCount() {
    Gate gate = new Gate();
    while (gate.open()) {
      gate.add(1, 1.5, 1, false);
    }
    for (int look = 0; look < 10; look++) {
      while (!gate.open()) {
        // plain rounds
      }
      gate.add(1, 1000, 1, true); // catches up with 64 tokens
      assertThat(gate.open()).isTrue();
      gate.add(4, 1.5, 1, false);
      if (gate.open()) {
        return;
      }
    }
    throw new AssertionError("ten good looks did not open the gate");
  }

  /** Six rows are a block and cost as much as one; noise, interruptions and cold first passes. */
  @Test
  void passesCostAStepForEachBlockOfRows() {
    PassCosts costs = new PassCosts(20);
    assertThat(costs.of(1)).isNaN();
    Random random = new Random(2);
    for (int i = 0; i < 600; i++) {
      int rows = 1 + random.nextInt(14);
      double noise = (1 + 0.02 * random.nextGaussian()) * (i % 50 == 7 ? 20 : 1) * (i < 40 ? 3 : 1);
      if (rows != 10) {
        costs.add(rows, 100 * ((rows + 5) / 6) * noise);
      }
    }
    assertThat(costs.ones()).isPositive();
    for (int rows = 1; rows <= 14; rows++) {
      assertThat(costs.of(rows))
          .as("%d rows", rows)
          .isCloseTo(100.0 * ((rows + 5) / 6), withPercentage(20));
    }
    assertThat(costs.of(17)).isBetween(costs.of(14), 600.0);
  }

  @Test
  void whatWasNotMeasuredLiesBetween() {
    PassCosts costs = new PassCosts(20);
    costs.add(5, 140);
    assertThat(costs.ones()).isZero();
    assertThat(costs.of(1)).isEqualTo(140); // no dearer than more rows
    costs.add(1, 100);
    assertThat(costs.of(3)).isEqualTo(120);
    assertThat(costs.of(9)).isEqualTo(180);
    costs.add(11, 10_000); // interrupted: three passes of five rows would have done
    assertThat(costs.of(11)).isEqualTo(3 * 140);
    costs.add(2, 200);
    assertThat(costs.of(2)).isEqualTo(140); // five rows cost less
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
