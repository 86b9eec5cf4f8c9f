package dev.sylvester.runner.spec;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import org.junit.jupiter.api.Test;

class HeadScoreTest {
  @Test
  void byHand() {
    HeadScore score =
        HeadScore.of(new float[] {0.75f, 0.75f, 0.25f, 0.25f}, new float[] {1, 0.5f, 0, 0});
    assertThat(score.rows()).isEqualTo(4);
    assertThat(score.meanLabel()).isEqualTo(0.375);
    double divergence =
        (Math.log(1 / 0.75)
                + 0.5 * Math.log(0.5 / 0.75)
                + 0.5 * Math.log(0.5 / 0.25)
                + 2 * Math.log(1 / 0.75))
            / 4;
    assertThat(score.divergence()).isCloseTo(divergence, offset(1e-12));
    double constant =
        (Math.log(1 / 0.375)
                + 0.5 * Math.log(0.5 / 0.375)
                + 0.5 * Math.log(0.5 / 0.625)
                + 2 * Math.log(1 / 0.625))
            / 4;
    assertThat(score.constantDivergence()).isCloseTo(constant, offset(1e-12));
    // The first bin is exact on average, the second a quarter too high for half of the rows.
    assertThat(score.calibrationError()).isCloseTo(0.125, offset(1e-12));
  }

  @Test
  void certainPredictionsStayFinite() {
    HeadScore right = HeadScore.of(new float[] {1, 0}, new float[] {1, 0});
    assertThat(right.divergence()).isCloseTo(0, offset(1e-6));
    assertThat(right.calibrationError()).isZero();
    HeadScore wrong = HeadScore.of(new float[] {1, 0}, new float[] {0, 1});
    assertThat(wrong.divergence()).isBetween(16.0, 17.0);
    assertThat(wrong.calibrationError()).isOne();
  }
}
