package dev.sylvester.runner.cli;

import dev.sylvester.kernels.DType;
import dev.sylvester.runner.Model;
import dev.sylvester.runner.ModelOptions;
import dev.sylvester.runner.format.ModelFile;
import dev.sylvester.runner.hub.Catalog;
import picocli.CommandLine.Option;

/** Which model, and how it is opened. */
final class ModelArguments {
  enum CacheType {
    F16,
    F32
  }

  @Option(
      names = {"-m", "--model"},
      paramLabel = "MODEL",
      defaultValue = "gsm-mini",
      description =
          "An alias (sylvester models), a .gguf or .safetensors file, or a folder. Default: gsm-mini.")
  String model;

  @Option(
      names = "--threads",
      paramLabel = "N",
      description = "Threads. Default: SYLVESTER_THREADS, else the physical cores.")
  Integer threads;

  @Option(
      names = "--context",
      paramLabel = "N",
      description =
          "Tokens of prompt and answer together. Default: the model's limit, at most 4096.")
  Integer context;

  @Option(
      names = "--cache-type",
      paramLabel = "TYPE",
      description = "Elements of the key and value cache: f16 or f32. Default: f16.")
  CacheType cacheType;

  Model open() {
    return open(context);
  }

  /**
   * With the model's limit as context, at most so many tokens, unless the option says otherwise.
   */
  Model openUpTo(int most) {
    if (context != null) {
      return open();
    }
    int limit;
    try (ModelFile file = ModelFile.open(Catalog.resolve(model))) {
      limit = file.config().contextLength();
    }
    return open(Math.min(limit, most));
  }

  Model open(Integer context) {
    if (context != null && context < 1) {
      throw new IllegalArgumentException("context is %d, must be at least 1".formatted(context));
    }
    ModelOptions options = ModelOptions.defaults();
    if (threads != null) {
      options = options.withThreads(threads);
    }
    if (context != null) {
      options = options.withContext(context);
    }
    if (cacheType != null) {
      options = options.withCacheType(DType.valueOf(cacheType.name()));
    }
    return Model.load(model, options);
  }
}
