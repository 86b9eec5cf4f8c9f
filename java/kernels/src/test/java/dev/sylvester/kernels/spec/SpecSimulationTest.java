package dev.sylvester.kernels.spec;

import static dev.sylvester.kernels.TestData.assertRefused;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import dev.sylvester.kernels.Status;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

class SpecSimulationTest {
  /** Easy and hard passages; 0.74 on average. */
  private static float[] passages(int length) {
    Random random = new Random(8);
    float[] acceptance = new float[length];
    boolean easy = true;
    for (int i = 0; i < length; i++) {
      if (random.nextInt(12) == 0) {
        easy = !easy;
      }
      double centre = easy ? 0.95 : 0.53;
      acceptance[i] = (float) Math.clamp(centre + 0.04 * random.nextGaussian(), 0, 1);
    }
    return acceptance;
  }

  @Test
  void aConstantLengthGivesTheFormula() {
    float[] same = new float[100_000];
    Arrays.fill(same, 0.8f);
    for (int k = 1; k <= 8; k++) {
      double tokens = (1 - Math.pow(0.8, k + 1)) / 0.2;
      SpecSimulation.Result result =
          new SpecSimulation(0.1, 0.03, 1).run(new StopRule.Constant(k), same, same);
      assertThat(result.tokensPerPass()).isCloseTo(tokens, offset(0.02));
      assertThat(result.speedup()).isCloseTo(tokens / (1 + 0.13 * k), offset(0.02));
      assertThat(result.verifyRate()).isCloseTo(1 / tokens, offset(0.002));
      assertThat(result.discardRate()).isCloseTo((k + 1 - tokens) / tokens, offset(0.01));
    }
  }

  /** One rule for every cost ratio is as good as a threshold tuned for it. */
  @Test
  void theCostRuleNeedsNoTuning() {
    float[] acceptance = passages(30_000);
    for (double cost : new double[] {0.02, 0.05, 0.1, 0.2}) {
      SpecSimulation simulation = new SpecSimulation(cost, 0, 3);
      double fixed = 0;
      for (int k = 1; k <= 12; k++) {
        fixed = Math.max(fixed, speedup(simulation, new StopRule.Constant(k), acceptance));
      }
      double tuned = 0;
      for (double h = 0.1; h < 1; h += 0.1) {
        tuned = Math.max(tuned, speedup(simulation, new StopRule.Threshold(h, 1, 20), acceptance));
      }
      double rule = speedup(simulation, new StopRule.Cost(1, 20), acceptance);
      assertThat(rule).as("cost %s, tuned %s", cost, tuned).isGreaterThan(0.985 * tuned);
      assertThat(rule).as("cost %s, fixed %s", cost, fixed).isGreaterThan(1.03 * fixed);
    }
  }

  private static double speedup(SpecSimulation simulation, StopRule rule, float[] acceptance) {
    return simulation.run(rule, acceptance, acceptance).speedup();
  }

  @Test
  void badArgumentsAreRefused() {
    StopRule rule = new StopRule.Constant(1);
    assertRefused(Status.BAD_VALUE, "-1.0", () -> new SpecSimulation(-1, 0, 1));
    assertRefused(Status.BAD_VALUE, "NaN", () -> new SpecSimulation(0, Double.NaN, 1));
    assertRefused(
        Status.BAD_SHAPE,
        "1 predictions of 2",
        () -> new SpecSimulation(0, 0, 1).run(rule, new float[2], new float[1]));
  }
}
