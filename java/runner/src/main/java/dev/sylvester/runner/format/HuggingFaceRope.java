package dev.sylvester.runner.format;

import java.util.Optional;

/**
 * Rotary positions in config.json. transformers 5 writes one object {@code rope_parameters};
 * before, the base was {@code rope_theta} and the rest {@code rope_scaling}. Rules and defaults are
 * those of transformers' modeling_rope_utils.
 */
final class HuggingFaceRope {
  private HuggingFaceRope() {}

  static RopeConfig read(JsonSettings config, int headDim, int contextLength) {
    Optional<JsonSettings> parameters =
        config.nested("rope_parameters").or(() -> config.nested("rope_scaling"));
    double theta = config.positive("rope_theta", 10000);
    double rotated = config.positive("partial_rotary_factor", 1);
    if (parameters.isEmpty()) {
      return RopeConfig.none(dims(headDim, rotated), theta, new float[0], false);
    }
    JsonSettings p = parameters.get();
    theta = p.positive("rope_theta", theta);
    int dims = dims(headDim, p.positive("partial_rotary_factor", rotated));
    String type = p.string("rope_type").or(() -> p.string("type")).orElse("default");
    return switch (type) {
      case "default" -> RopeConfig.none(dims, theta, new float[0], false);
      case "linear" ->
          RopeConfig.linear(dims, theta, p.requirePositive("factor"), new float[0], false);
      case "dynamic" ->
          RopeConfig.dynamicNtk(dims, theta, p.requirePositive("factor"), contextLength);
      case "yarn" -> yarn(p, dims, theta, contextLength, originalContext(config, p, contextLength));
      case "llama3" -> llama3(p, dims, theta, originalContext(config, p, contextLength));
      default ->
          throw p.unexpected(
              "rope_type",
              ModelFormatException.quote(type),
              "default, linear, dynamic, yarn or llama3");
    };
  }

  private static int dims(int headDim, double rotated) {
    return (int) (headDim * rotated);
  }

  private static double originalContext(JsonSettings config, JsonSettings p, int contextLength) {
    String key = "original_max_position_embeddings";
    return config.has(key) ? config.positive(key, 0) : p.positive(key, contextLength);
  }

  private static RopeConfig yarn(
      JsonSettings p, int dims, double theta, double contextLength, double original) {
    if (!p.bool("truncate").orElse(true)) {
      throw p.unexpected("truncate", false, "true");
    }
    double factor = p.positive("factor", contextLength / original);
    return RopeConfig.yarn(
        dims,
        theta,
        factor,
        original,
        p.positive("beta_fast", 32),
        p.positive("beta_slow", 1),
        p.positive("attention_factor", magnitude(p, factor)),
        new float[0],
        false);
  }

  private static double magnitude(JsonSettings p, double factor) {
    double scale = p.number("mscale").orElse(0);
    double allDims = p.number("mscale_all_dim").orElse(0);
    return scale != 0 && allDims != 0
        ? RopeConfig.yarnMagnitude(factor, scale) / RopeConfig.yarnMagnitude(factor, allDims)
        : RopeConfig.yarnMagnitude(factor, 1);
  }

  private static RopeConfig llama3(JsonSettings p, int dims, double theta, double original) {
    double low = p.requirePositive("low_freq_factor");
    double high = p.requirePositive("high_freq_factor");
    if (high <= low) {
      throw p.unexpected("high_freq_factor", high, "more than low_freq_factor, " + low);
    }
    return RopeConfig.llama3(dims, theta, p.requirePositive("factor"), original, low, high);
  }
}
