package dev.sylvester.runner.cli;

import dev.sylvester.runner.Model;
import dev.sylvester.runner.Session;
import dev.sylvester.runner.eval.Perplexity;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
    name = "perplexity",
    description = "Measure how well a model predicts a text.",
    footer = {
      "",
      "The whole file is tokenised without special tokens, cut to --max-tokens, and cut into"
          + " windows",
      "of --context tokens that do not overlap (a short tail is dropped). Each window starts from"
          + " an",
      "empty cache; the negative log-likelihood is averaged over all its positions but the first.",
      "",
      "Example:",
      "  sylvester perplexity -m smollm2 -f test.txt --context 1024 --max-tokens 16384"
    })
final class PerplexityCommand implements Callable<Integer> {
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
      names = "--max-tokens",
      paramLabel = "N",
      description = "Use the first N tokens. Default: all.")
  private Integer maxTokens;

  @Option(names = "--json", description = "Print one JSON object.")
  private boolean json;

  PerplexityCommand(Main main) {
    this.main = main;
  }

  @Override
  public Integer call() throws Exception {
    if (maxTokens != null && maxTokens < 1) {
      throw new IllegalArgumentException(
          "max tokens is %d, must be at least 1".formatted(maxTokens));
    }
    String text = Files.readString(file);
    int window = model.context == null ? DEFAULT_WINDOW : model.context;
    try (Model opened = model.open(window);
        Session session = opened.newSession()) {
      if (opened.config().bidirectional()) {
        throw new IllegalArgumentException(
            "perplexity needs a model that predicts the next token; %s is bidirectional"
                .formatted(opened.path()));
      }
      long start = System.nanoTime();
      int[] tokens = opened.tokenizer().encode(text, false);
      if (maxTokens != null && tokens.length > maxTokens) {
        tokens = Arrays.copyOf(tokens, maxTokens);
      }
      Perplexity.Result result = Perplexity.of(session, tokens, window);
      print(result, (System.nanoTime() - start) * 1e-9);
    }
    return 0;
  }

  private void print(Perplexity.Result result, double seconds) {
    if (!json) {
      main.out.printf(
          Locale.ROOT,
          "perplexity %.4f, %.6f nats/token over %,d tokens, %.1f s%n",
          result.perplexity(),
          result.nll(),
          result.tokens(),
          seconds);
      return;
    }
    Map<String, Object> object = new LinkedHashMap<>();
    object.put("perplexity", result.perplexity());
    object.put("nll", result.nll());
    object.put("tokens", result.tokens());
    object.put("seconds", seconds);
    Json.print(main.out, object);
  }
}
