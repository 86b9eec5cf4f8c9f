package dev.sylvester.runner.diffusion;

/**
 * Everywhere at once, along a time that runs from 1 down to {@code eps}, as Dream does (arXiv
 * 2508.15487). A step from time t to s commits the share {@code 1 - s/t} of the unknown positions,
 * rounded down; the last one commits all. In 32-bit floats, as the released code.
 *
 * @param eps the last time, above 0 and below 1
 * @param steps number of steps
 */
public record Timesteps(double eps, int steps) implements Schedule {
  /** Checks the values. */
  public Timesteps {
    if (!(eps > 0 && eps < 1)) {
      throw new IllegalArgumentException("eps is %s, must be above 0 and below 1".formatted(eps));
    }
    if (steps < 1) {
      throw new IllegalArgumentException("steps is %d, must be at least 1".formatted(steps));
    }
  }

  @Override
  public int steps(Canvas canvas) {
    return steps;
  }

  @Override
  public boolean plan(Decoding decoding, Stage stage) {
    int length = decoding.canvas().tokens().length;
    int masks = decoding.masks(0, length);
    if (masks == 0 || !decoding.rule().adaptive() && decoding.step() >= steps) {
      return false;
    }
    int step = decoding.step();
    float rate = step < steps - 1 ? 1 - time(step + 1) / time(step) : 1;
    stage.set(decoding.canvas().promptLength(), length, (int) (masks * rate), rate);
    return true;
  }

  /** Evenly spaced, counted from the nearer end. */
  private float time(int index) {
    float last = (float) eps;
    float width = (last - 1) / steps;
    return index < (steps + 1) / 2 ? 1 + width * index : last - width * (steps - index);
  }
}
