package dev.sylvester.runner.cli;

import dev.sylvester.kernels.Sylvester;
import dev.sylvester.runner.Generation;
import dev.sylvester.runner.GenerationRequest;
import dev.sylvester.runner.Model;
import dev.sylvester.runner.Session;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
    name = "generate",
    description = "Prefill and decode speed of a model, the best of several runs.",
    footer = {"", "Example:", "  sylvester bench generate -m smollm2 --depth 1024 --json"})
final class BenchGenerateCommand implements Callable<Integer> {
  private final Main main;

  @Mixin private ModelArguments model;

  @Option(
      names = "--prompt-tokens",
      paramLabel = "N",
      defaultValue = "512",
      description = "Tokens of the prompt. Default: 512.")
  private int promptTokens;

  @Option(
      names = {"-n", "--max-tokens"},
      paramLabel = "N",
      defaultValue = "64",
      description = "Tokens to decode. Default: 64.")
  private int maxTokens;

  @Option(
      names = "--depth",
      paramLabel = "N",
      defaultValue = "0",
      description = "Tokens in the cache before the prompt. Default: 0.")
  private int depth;

  @Option(
      names = "--runs",
      paramLabel = "N",
      defaultValue = "5",
      description = "Runs; the best counts. Default: 5.")
  private int runs;

  @Option(names = "--json", description = "Print one JSON object.")
  private boolean json;

  BenchGenerateCommand(Main main) {
    this.main = main;
  }

  @Override
  public Integer call() throws Exception {
    if (promptTokens < 1 || maxTokens < 2 || depth < 0 || runs < 1) {
      throw new IllegalArgumentException(
          "prompt tokens and runs must be at least 1, max tokens 2, depth 0");
    }
    try (Model opened = model.open();
        Session session = opened.newSession()) {
      // Any tokens do: the arithmetic does not depend on them.
      int[] prompt = new int[depth + promptTokens];
      for (int i = 0; i < prompt.length; i++) {
        prompt[i] = i * 31 % opened.config().vocabSize();
      }
      GenerationRequest request =
          GenerationRequest.of(opened, prompt, maxTokens).withEndTokens(Set.of());
      double prefill = 0;
      double decode = 0;
      session.generate(request);
      for (int i = 0; i < runs; i++) {
        session.truncate(depth);
        Generation generation = session.generate(request);
        prefill = Math.max(prefill, generation.prefillTokensPerSecond());
        decode = Math.max(decode, generation.decodeTokensPerSecond());
      }
      print(opened, prefill, decode);
    }
    return 0;
  }

  private void print(Model opened, double prefill, double decode) {
    if (!json) {
      main.out.printf(
          Locale.ROOT,
          "prefill of %d tokens %.1f tok/s, decode %.1f tok/s, from %d tokens, %d threads, %s%n",
          promptTokens,
          prefill,
          decode,
          depth,
          opened.threads(),
          Sylvester.tier());
      return;
    }
    Map<String, Object> object = new LinkedHashMap<>();
    object.put("prompt_tokens", promptTokens);
    object.put("depth", depth);
    object.put("prefill_tok_s", prefill);
    object.put("decode_tok_s", decode);
    object.put("threads", opened.threads());
    object.put("tier", Sylvester.tier());
    Json.print(main.out, object);
  }
}
