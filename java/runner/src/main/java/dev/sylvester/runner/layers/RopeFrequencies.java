package dev.sylvester.runner.layers;

import dev.sylvester.kernels.Rope;
import dev.sylvester.kernels.RopeScaling;
import dev.sylvester.runner.format.RopeConfig;
import java.lang.foreign.Arena;

/** Rotary frequencies from a model's configuration. */
public final class RopeFrequencies {
  private RopeFrequencies() {}

  /**
   * The frequencies of a model.
   *
   * @param context tokens that texts may have; dynamic scaling depends on it
   * @param arena owns them
   */
  public static Rope of(RopeConfig config, int context, Arena arena) {
    Rope rope = Rope.of(scaling(config, context), config.dims(), arena);
    if (config.factors().length == 0) {
      return rope;
    }
    double[] frequencies = rope.inverseFrequencies();
    for (int i = 0; i < frequencies.length; i++) {
      frequencies[i] /= config.factors()[i];
    }
    return Rope.of(frequencies, rope.magnitude(), arena);
  }

  private static RopeScaling scaling(RopeConfig c, int context) {
    return switch (c.kind()) {
      case NONE -> RopeScaling.none(c.theta());
      case LINEAR -> RopeScaling.linear(c.theta(), c.factor());
      case DYNAMIC_NTK -> dynamic(c, context);
      case YARN ->
          RopeScaling.yarn(
              c.theta(),
              c.factor(),
              c.originalContext(),
              c.betaFast(),
              c.betaSlow(),
              c.attentionFactor());
      case LLAMA3 ->
          RopeScaling.llama3(
              c.theta(), c.factor(), c.originalContext(), c.lowFreqFactor(), c.highFreqFactor());
    };
  }

  /**
   * Scaled for the context that was asked for. To follow the text's length instead would rotate
   * tokens that are in the cache already by other angles than they were.
   */
  private static RopeScaling dynamic(RopeConfig c, int context) {
    double stretch = c.factor() * context / c.originalContext() - (c.factor() - 1);
    return stretch <= 1
        ? RopeScaling.none(c.theta())
        : RopeScaling.none(c.theta() * Math.pow(stretch, c.dims() / (c.dims() - 2.0)));
  }
}
