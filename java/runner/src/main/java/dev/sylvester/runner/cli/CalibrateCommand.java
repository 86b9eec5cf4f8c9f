package dev.sylvester.runner.cli;

import dev.sylvester.kernels.KvPlan;
import dev.sylvester.runner.CacheOptions;
import dev.sylvester.runner.Model;
import dev.sylvester.runner.eval.Problem;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

@Command(
    name = "calibrate",
    description = "Make the plan of a packed cache from a text.",
    footer = {
      "",
      "Some kinds of packed caches take away the means of keys, or sort channels by them. They are",
      "collected here, with floats in the cache; best of 2 bits also gives the keys of half of the",
      "layers a third one. Take a text like those that the model will read," + " and",
      "never one that it is tested on. A .jsonl file has a problem (question, answer) on each"
          + " line,",
      "which are read one by one; any other is cut into windows of --context tokens.",
      "",
      "Example:",
      "  sylvester calibrate -m smollm2 -f train.txt --kv best -o smollm2.kvplan",
      "  sylvester chat -m smollm2 --kv-plan smollm2.kvplan"
    })
final class CalibrateCommand implements Callable<Integer> {
  private static final int DEFAULT_WINDOW = 1024;

  private final Main main;

  @Option(
      names = {"-m", "--model"},
      paramLabel = "MODEL",
      required = true,
      description = "An alias (sylvester models), a .gguf or .safetensors file, or a folder.")
  private String model;

  @Option(
      names = {"-f", "--file"},
      paramLabel = "FILE",
      required = true,
      description = "The text, UTF-8.")
  private Path file;

  @Option(
      names = {"-o", "--output"},
      paramLabel = "PLAN",
      required = true,
      description = "Where the plan goes.")
  private Path output;

  @Option(
      names = "--kv",
      paramLabel = "KIND",
      defaultValue = "best",
      description = "The kind of cache. Default: best.")
  private String kv;

  @Option(
      names = "--kv-bits",
      paramLabel = "N",
      defaultValue = "0",
      description = "Bits of a packed number: 2, 3, 4 or 8. Default: the kind's own.")
  private int bits;

  @Option(
      names = "--context",
      paramLabel = "N",
      description = "Tokens of a window. Default: the model's limit, at most 1024.")
  private Integer context;

  @Option(
      names = "--max-tokens",
      paramLabel = "N",
      defaultValue = "65536",
      description = "Use the first N tokens. Default: 65536.")
  private int maxTokens;

  CalibrateCommand(Main main) {
    this.main = main;
  }

  @Override
  public Integer call() throws Exception {
    CacheOptions cache = CacheOptions.of(kv.toLowerCase(Locale.ROOT)).withBits(bits);
    if (!cache.needsCalibration()) {
      throw new IllegalArgumentException(
          "%s needs no calibration: generate --kv %s".formatted(cache, kv));
    }
    if (maxTokens < 1) {
      throw new IllegalArgumentException(
          "max tokens is %d, must be at least 1".formatted(maxTokens));
    }
    ModelArguments arguments = new ModelArguments(main);
    arguments.model = model;
    arguments.context = context;
    try (Model opened = arguments.openUpTo(DEFAULT_WINDOW);
        TerminalProgress progress = TerminalProgress.counting("Calibrating", "tokens");
        KvPlan plan = opened.calibrate(cache, samples(opened), progress)) {
      plan.save(output);
      KvPlan.Info info = plan.info();
      main.out.printf(
          Locale.ROOT,
          "%s: %s, keys of %.2f bits, values of %.2f, %,d bytes/token%n",
          output,
          cache,
          info.bitsKeys(),
          info.bitsValues(),
          info.tileBytes() / 16);
    }
    return 0;
  }

  private List<int[]> samples(Model opened) throws IOException {
    List<int[]> samples = new ArrayList<>();
    int left = maxTokens;
    if (file.toString().endsWith(".jsonl")) {
      for (Problem problem : Problem.read(file)) {
        int[] tokens = problem.tokens(opened.tokenizer());
        left -= tokens.length;
        if (left < 0) {
          break;
        }
        samples.add(Arrays.copyOf(tokens, Math.min(tokens.length, opened.context())));
      }
      return samples;
    }
    int[] tokens = opened.tokenizer().encode(Files.readString(file), false);
    int end = Math.min(left, tokens.length);
    for (int from = 0; from < end; from += opened.context()) {
      samples.add(Arrays.copyOfRange(tokens, from, Math.min(end, from + opened.context())));
    }
    return samples;
  }
}
