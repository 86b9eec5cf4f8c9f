package dev.sylvester.kernels;

/**
 * A learning rate that rises in a straight line and then falls by a cosine to almost nothing.
 *
 * @param peak the highest rate
 * @param warmup share of the steps in which it rises, 0..1
 * @param steps number of all
 */
public record CosineSchedule(float peak, float warmup, long steps) {
  /**
   * The rate of a step.
   *
   * @param step from 1 on
   * @return the learning rate
   */
  public float rate(long step) {
    double rising = warmup * steps;
    if (step <= rising) {
      return (float) (peak * step / rising);
    }
    double progress = Math.min(1, (step - 1 - rising) / (steps - rising));
    return (float) (peak * (1 + Math.cos(Math.PI * progress)) / 2);
  }
}
