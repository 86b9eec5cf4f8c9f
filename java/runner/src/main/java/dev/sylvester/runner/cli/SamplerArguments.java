package dev.sylvester.runner.cli;

import dev.sylvester.kernels.SamplerOptions;
import dev.sylvester.runner.Sampler;
import dev.sylvester.runner.diffusion.Sampling;
import java.util.Map;
import picocli.CommandLine.Option;

/** How tokens are chosen. */
final class SamplerArguments {
  @Option(
      names = "--temperature",
      paramLabel = "T",
      defaultValue = "0",
      description = "Randomness; 0 (the default) always takes the most probable token.")
  float temperature;

  @Option(
      names = "--top-k",
      paramLabel = "K",
      defaultValue = "0",
      description = "Keep the K most probable tokens; 0 (the default) keeps all.")
  int topK;

  @Option(
      names = "--top-p",
      paramLabel = "P",
      defaultValue = "1",
      description =
          "Keep the fewest tokens whose probability reaches P; 1 (the default) keeps all.")
  float topP;

  @Option(
      names = "--min-p",
      paramLabel = "P",
      defaultValue = "0",
      description =
          "Keep tokens at least P times as probable as the best; 0 (the default) keeps all.")
  float minP;

  @Option(
      names = "--repetition-penalty",
      paramLabel = "R",
      defaultValue = "1",
      description = "Make earlier tokens less probable; 1 (the default) leaves them.")
  float repetitionPenalty;

  @Option(
      names = "--seed",
      paramLabel = "N",
      defaultValue = "0",
      description = "Same seed, same text, for any number of threads. Default: 0.")
  long seed;

  /** What diffusion models know of it. */
  Sampling forDiffusion() {
    if (minP != 0 || repetitionPenalty != 1) {
      throw new IllegalArgumentException(
          "a diffusion model knows no --min-p and no --repetition-penalty");
    }
    return Sampling.GREEDY.withTemperature(temperature).withFilters(topK, topP).withSeed(seed);
  }

  Sampler sampler() {
    return sampler(0);
  }

  /** With a seed so many further. */
  Sampler sampler(int further) {
    return new Sampler(
        new SamplerOptions(temperature, topK, topP, minP, repetitionPenalty, 0, 0, seed + further),
        Map.of());
  }
}
