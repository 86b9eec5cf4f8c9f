package dev.sylvester.runner.cli;

import dev.sylvester.runner.CacheOptions;
import dev.sylvester.runner.Model;
import dev.sylvester.runner.eval.KvComparison;
import dev.sylvester.runner.eval.KvPlot;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
    name = "kv",
    description = "What kinds of packed caches cost a model: perplexity, bytes, speed.",
    footer = {
      "",
      "Windows are those of `sylvester perplexity`; the prompt itself is read from the packed"
          + " cache. A",
      "preset is a name or name-bits. KL is the mean divergence from f16 in nats; bits count"
          + " scales",
      "and zeros; the speed is that of decoding with half a window in the cache.",
      "",
      "Example:",
      "  sylvester eval kv -m smollm2 -f test.txt --presets q8,q4,best-2,best-3 --svg kv.svg"
    })
final class EvalKvCommand implements Callable<Integer> {
  private static final int DEFAULT_WINDOW = 512;

  private final Main main;

  @Mixin private ModelArguments model;

  @Option(
      names = {"-f", "--file"},
      paramLabel = "FILE",
      required = true,
      description = "The text, UTF-8. --context is the size of a window, 512 unless given.")
  private Path file;

  @Option(
      names = "--presets",
      paramLabel = "LIST",
      split = ",",
      defaultValue = "q8,q4,quarot,turbo,rotatekv,best,best-3,best-4",
      description = "The kinds. Default: ${DEFAULT-VALUE}.")
  private List<String> presets;

  @Option(
      names = "--max-tokens",
      paramLabel = "N",
      defaultValue = "16384",
      description = "Use the first N tokens. Default: 16384.")
  private int maxTokens;

  @Option(names = "--json", description = "Print one JSON object.")
  private boolean json;

  @Option(names = "--svg", paramLabel = "FILE", description = "Draw bits against perplexity.")
  private Path svg;

  EvalKvCommand(Main main) {
    this.main = main;
  }

  @Override
  public Integer call() throws Exception {
    if (maxTokens < 1) {
      throw new IllegalArgumentException(
          "max tokens is %d, must be at least 1".formatted(maxTokens));
    }
    List<CacheOptions> kinds = new ArrayList<>();
    presets.forEach(preset -> kinds.add(kind(preset)));
    String text = Files.readString(file);
    int window = model.context == null ? DEFAULT_WINDOW : model.context;
    try (Model opened = model.open(window);
        TerminalProgress progress = TerminalProgress.counting("Reading", "tokens")) {
      int[] all = opened.tokenizer().encode(text, false);
      int[] tokens = Arrays.copyOf(all, Math.min(all.length, maxTokens));
      List<KvComparison.Row> rows = KvComparison.run(opened, tokens, window, kinds, progress);
      if (json) {
        Json.print(main.out, Map.of("rows", rows.stream().map(EvalKvCommand::object).toList()));
      } else {
        printTable(rows);
      }
      if (svg != null) {
        KvPlot.write(rows, opened.path().getFileName().toString(), svg);
      }
    }
    return 0;
  }

  /** {@code name} or {@code name-bits}. */
  static CacheOptions kind(String preset) {
    String[] parts = preset.strip().toLowerCase(Locale.ROOT).split("-", 2);
    CacheOptions kind = CacheOptions.of(parts[0]);
    if (parts.length == 1) {
      return kind;
    }
    try {
      return kind.withBits(Integer.parseInt(parts[1]));
    } catch (NumberFormatException e) {
      throw new IllegalArgumentException(
          "preset is '%s', must be NAME or NAME-BITS".formatted(preset), e);
    }
  }

  private void printTable(List<KvComparison.Row> rows) {
    main.out.printf(
        "%-12s %11s %9s %7s %7s %12s %9s%n",
        "cache", "perplexity", "KL", "bits k", "bits v", "bytes/token", "tok/s");
    for (KvComparison.Row row : rows) {
      main.out.printf(
          Locale.ROOT,
          "%-12s %11.4f %9.5f %7.2f %7.2f %,12d %9.1f%n",
          row.cache(),
          row.perplexity(),
          row.sums().meanDivergence(),
          row.usage().bitsKeys(),
          row.usage().bitsValues(),
          row.usage().bytesPerToken(),
          row.tokensPerSecond());
    }
  }

  private static Map<String, Object> object(KvComparison.Row row) {
    Map<String, Object> object = new LinkedHashMap<>();
    object.put("cache", row.cache().toString());
    object.put("perplexity", row.perplexity());
    object.put("nll", row.sums().meanNll());
    object.put("kl", row.sums().meanDivergence());
    object.put("tokens", row.sums().tokens());
    object.put("decode_tok_s", row.tokensPerSecond());
    object.put("kv", Json.object(row.usage()));
    return object;
  }
}
