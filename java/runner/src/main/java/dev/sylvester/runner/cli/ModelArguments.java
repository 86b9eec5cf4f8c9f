package dev.sylvester.runner.cli;

import dev.sylvester.runner.Adapter;
import dev.sylvester.runner.CacheOptions;
import dev.sylvester.runner.Model;
import dev.sylvester.runner.ModelOptions;
import dev.sylvester.runner.SavedSession;
import dev.sylvester.runner.format.ModelFile;
import dev.sylvester.runner.hub.Catalog;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Which model, and how it is opened. */
final class ModelArguments {
  private final Main main;

  @Option(
      names = {"-m", "--model"},
      paramLabel = "MODEL",
      defaultValue = "gsm-mini",
      description =
          "An alias (sylvester models), a .gguf or .safetensors file, or a folder. Default:"
              + " gsm-mini.")
  String model;

  @Mixin ThreadsArgument threads = new ThreadsArgument();

  @Option(
      names = "--context",
      paramLabel = "N",
      description =
          "Tokens of prompt and answer together. Default: the model's limit, at most 4096.")
  Integer context;

  @Option(
      names = "--kv",
      paramLabel = "KIND",
      description =
          "How keys and values are kept: f16, f32, or packed: q8, q4, rotatekv, quarot, turbo,"
              + " best, auto. Default: f16.")
  String kv;

  @Option(
      names = "--kv-bits",
      paramLabel = "N",
      description = "Bits of a packed number: 2, 3, 4 or 8. Default: the kind's own.")
  Integer kvBits;

  @Option(
      names = "--kv-plan",
      paramLabel = "FILE",
      description = "Packed as a plan says that sylvester calibrate made.")
  Path kvPlan;

  @Option(
      names = "--adapter",
      paramLabel = "PATH[:SCALE]",
      description =
          "A LoRA or LoKr folder of PEFT, or a file of adapt decompose, its change scaled; several"
              + " are added up.")
  List<String> adapters = List.of();

  ModelArguments(Main main) {
    this.main = main;
  }

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

  /** With the cache of a saved session. */
  Model openFor(SavedSession saved) {
    if (kv != null || kvBits != null || kvPlan != null) {
      throw new IllegalArgumentException("a saved session brings its own kind of cache");
    }
    return open(context, saved.cache());
  }

  Model open(Integer context) {
    return open(context, cache());
  }

  private Model open(Integer context, CacheOptions cache) {
    if (context != null && context < 1) {
      throw new IllegalArgumentException("context is %d, must be at least 1".formatted(context));
    }
    ModelOptions options =
        ModelOptions.defaults().withAdapters(adapters.stream().map(Adapter::parse).toList());
    if (threads.count != null) {
      options = options.withThreads(threads.count);
    }
    if (context != null) {
      options = options.withContext(context);
    }
    Model opened = Model.load(model, options.withCache(cache));
    opened.autoCache().ifPresent(main.err::println);
    return opened;
  }

  CacheOptions cache() {
    if (kvPlan != null) {
      if (kv != null || kvBits != null) {
        throw new IllegalArgumentException("--kv-plan says all that --kv and --kv-bits do");
      }
      return CacheOptions.ofPlan(kvPlan);
    }
    CacheOptions cache = CacheOptions.of(kv == null ? "f16" : kv.toLowerCase(Locale.ROOT));
    return kvBits == null ? cache : cache.withBits(kvBits);
  }
}
