package dev.sylvester.runner.cli;

import dev.sylvester.kernels.Sylvester;
import dev.sylvester.runner.Generation;
import dev.sylvester.runner.GenerationRequest;
import dev.sylvester.runner.Model;
import dev.sylvester.runner.Session;
import dev.sylvester.runner.Speculator;
import dev.sylvester.runner.diffusion.DiffusionRequest;
import dev.sylvester.runner.text.Message;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
    name = "generate",
    description = "Continue a text.",
    footer = {
      "",
      "The last line tells speed and the size of a cached token. With --json one object is"
          + " printed:",
      "text, tokens, prompt_tokens, stop_reason (eos, stop, length or context), prefill_tok_s,",
      "decode_tok_s, kv_bytes_per_token, kv, peak_rss_bytes, threads, tier. kv is an object:"
          + " preset,",
      "bytes_per_token, effective_bits_k, effective_bits_v, ratio_vs_f16, sink_tokens,"
          + " codes_bytes,",
      "params_bytes, total_bytes. With --draft there is spec: rounds, drafted, accepted, emitted,",
      "tokens_per_pass, acceptance_rate, length_histogram (rounds by number of candidates),",
      "discard_rate, t_draft_ms (of a candidate), t_target_ms (of a pass), speedup_estimate (over",
      "passes of one row); numbers that nothing was measured for are null.",
      "",
      "Examples:",
      "  sylvester generate -m smollm2 -p 'The sea is' -n 40",
      "  sylvester generate -m smollm2 --chat -p 'Name three rivers.' --temperature 0.8 --seed 7",
      "  sylvester generate -p 'Ann has 3 coins. ...' --draft gsm-mini-draft",
      "  sylvester generate -m ./my-model -p 'def main():' --stop 'def ' --json"
    })
final class GenerateCommand implements Callable<Integer> {
  private static final int MAX_TOKENS = 128;

  private final Main main;

  @Mixin private ModelArguments model;
  @Mixin private SamplerArguments sampler;
  @Mixin private SpecArguments spec;
  @Mixin private DiffusionArguments diffusion;

  @Option(
      names = {"-p", "--prompt"},
      paramLabel = "TEXT",
      required = true,
      description = "The text to continue.")
  private String prompt;

  @Option(
      names = {"-n", "--max-tokens"},
      paramLabel = "N",
      description = "Most tokens to generate. Default: 128.")
  private Integer maxTokens;

  @Option(
      names = "--stop",
      paramLabel = "TEXT",
      description =
          "End before this text; may be given several times. Diffusion models: when the rest is"
              + " known, prophet:8.0,5.0,3.5, prophet-linear:8.0,4.5, sched:7.5,2.5, eos or none.")
  private List<String> stops = List.of();

  @Option(
      names = "--samples",
      paramLabel = "N",
      description =
          "Generate N texts, with seeds from --seed on. The prompt is read once, and its cache is "
              + "shared. Default: 1.")
  private Integer samples;

  @Option(names = "--chat", description = "Put the prompt into the model's chat template.")
  private boolean chat;

  @Option(
      names = "--raw",
      description = "Tokenise the prompt as it stands, without begin or other special tokens.")
  private boolean raw;

  @Option(names = "--json", description = "Print one JSON object instead of the text.")
  private boolean json;

  GenerateCommand(Main main) {
    this.main = main;
  }

  @Override
  public Integer call() throws Exception {
    if (chat && raw) {
      throw new IllegalArgumentException("--chat and --raw exclude each other");
    }
    if (prompt.isEmpty()) {
      throw new IllegalArgumentException("the prompt is empty");
    }
    if (samples != null && samples < 1) {
      throw new IllegalArgumentException("samples is %d, must be at least 1".formatted(samples));
    }
    try (Model opened = model.open()) {
      int[] tokens = promptTokens(opened);
      if (opened.config().bidirectional()) {
        fill(opened, tokens);
      } else {
        diffusion.refuse(opened);
        continueText(opened, tokens);
      }
    }
    return 0;
  }

  private void fill(Model opened, int[] tokens) {
    if (maxTokens != null || samples != null || spec.given()) {
      throw new IllegalArgumentException(
          ("%s is a diffusion model: --max-tokens, --samples, --draft, --spec, --draft-len,"
                  + " --accept-head and --tree are of no use; --gen-length says how long the text is")
              .formatted(opened.path()));
    }
    diffusion.requireSense(stops, json);
    DiffusionRequest request = diffusion.request(opened, tokens, stops, sampler.forDiffusion());
    new DiffusionGenerate(main, opened, diffusion).run(request, json);
  }

  private void continueText(Model opened, int[] tokens) {
    try (Session session = opened.newSession()) {
      GenerationRequest request =
          GenerationRequest.of(opened, tokens, maxTokens == null ? MAX_TOKENS : maxTokens)
              .withStopStrings(stops);
      try (Drafting drafting = spec.open(opened, sampler.sampler())) {
        generate(session, request, drafting);
      }
    }
  }

  private void generate(Session session, GenerationRequest request, Drafting drafting) {
    if (samples == null || samples == 1) {
      one(session, request.withSampler(sampler.sampler()), drafting);
      return;
    }
    session.generate(GenerationRequest.of(session.model(), request.prompt(), 0));
    for (int i = 0; i < samples; i++) {
      try (Session fork = session.fork()) {
        one(fork, request.withSampler(sampler.sampler(i)), drafting);
      }
    }
  }

  private void one(Session session, GenerationRequest request, Drafting drafting) {
    try (Speculator speculator = spec.speculator(drafting, session)) {
      GenerationRequest wanted = json ? request : request.withStream(this::print);
      Generation generation =
          speculator == null ? session.generate(wanted) : speculator.generate(wanted);
      if (json) {
        printJson(session, generation, speculator);
        return;
      }
      main.out.println();
      main.out.println(Text.rates(generation, session.model().cacheBytesPerToken()));
      if (speculator != null) {
        main.out.println(Text.speculation(speculator.stats()));
      }
    }
  }

  private int[] promptTokens(Model opened) {
    return chat
        ? ChatPrompt.tokens(opened, List.of(new Message("user", prompt)))
        : opened.tokenizer().encode(prompt, !raw);
  }

  private void print(String piece) {
    main.out.print(piece);
    main.out.flush();
  }

  private void printJson(Session session, Generation generation, Speculator speculator) {
    Model opened = session.model();
    Map<String, Object> object = new LinkedHashMap<>();
    object.put("text", generation.text());
    object.put("tokens", generation.tokens());
    object.put("prompt_tokens", generation.promptTokens());
    object.put("stop_reason", generation.stopReason().toString());
    object.put("prefill_tok_s", generation.prefillTokensPerSecond());
    object.put("decode_tok_s", generation.decodeTokensPerSecond());
    object.put("kv_bytes_per_token", opened.cacheBytesPerToken());
    object.put("kv", Json.object(session.cacheUsage()));
    if (speculator != null) {
      object.put("spec", Json.object(speculator.stats()));
    }
    object.put("peak_rss_bytes", ProcessMemory.peakBytes());
    object.put("threads", opened.threads());
    object.put("tier", Sylvester.tier());
    Json.print(main.out, object);
  }
}
