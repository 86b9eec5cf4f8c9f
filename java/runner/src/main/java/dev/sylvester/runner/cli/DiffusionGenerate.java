package dev.sylvester.runner.cli;

import dev.sylvester.kernels.Sylvester;
import dev.sylvester.runner.Model;
import dev.sylvester.runner.diffusion.Denoiser;
import dev.sylvester.runner.diffusion.DiffusionDecoder;
import dev.sylvester.runner.diffusion.DiffusionRequest;
import dev.sylvester.runner.diffusion.DiffusionResult;
import dev.sylvester.runner.diffusion.Hex;
import dev.sylvester.runner.eval.DiffusionComparison;
import dev.sylvester.runner.eval.Problem;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** {@code generate} with a diffusion model. */
final class DiffusionGenerate {
  /** The paper's. */
  private static final List<Integer> HEX_BLOCKS = List.of(8, 16, 32, 64, 128);

  private static final int HEX_SEEDS = 5;
  private static final double HEX_TEMPERATURE = 0.9;

  private final Main main;
  private final Model model;
  private final DiffusionArguments arguments;

  DiffusionGenerate(Main main, Model model, DiffusionArguments arguments) {
    this.main = main;
    this.model = model;
    this.arguments = arguments;
  }

  void run(DiffusionRequest request, boolean json) {
    try (Denoiser denoiser = model.newDenoiser()) {
      DiffusionDecoder decoder = new DiffusionDecoder(denoiser, arguments.precision());
      if (arguments.hex) {
        vote(decoder, request, json);
        return;
      }
      if (arguments.show) {
        CanvasView view =
            new CanvasView(
                main.out, model.tokenizer(), arguments.steps(), TerminalProgress.isTerminal(1));
        request = request.withListener(view::draw);
      }
      DiffusionResult result = decoder.fill(request);
      if (json) {
        Json.print(main.out, object(request, result, diffusion(result)));
        return;
      }
      if (!arguments.show) {
        main.out.println(text(result));
      }
      main.out.printf(
          Locale.ROOT,
          "%d passes in %d steps, %.1f tok/s, stopped by %s%n",
          result.forwardPasses(),
          result.steps(),
          result.tokens().length / result.seconds(),
          result.stoppedBy());
    }
  }

  private void vote(DiffusionDecoder decoder, DiffusionRequest request, boolean json) {
    int length = request.canvas().length();
    List<Integer> blocks =
        HEX_BLOCKS.stream()
            .filter(b -> b <= length && length % b == 0 && arguments.steps() % (length / b) == 0)
            .toList();
    Hex hex = new Hex(blocks, HEX_SEEDS, blocks.size(), tokens -> Problem.answer(text(tokens)));
    if (request.sampling().temperature() == 0) {
      request = request.withSampling(request.sampling().withTemperature(HEX_TEMPERATURE));
    }
    Hex.Vote vote = hex.vote(decoder, request, arguments.steps(), true);
    if (json) {
      Map<String, Object> diffusion = diffusion(vote.winner().result());
      diffusion.put("answer", vote.answer());
      diffusion.put("votes", Hex.tally(vote));
      diffusion.put("paths", vote.paths().size());
      diffusion.put("planned_paths", vote.planned());
      Json.print(main.out, object(request, vote.winner().result(), diffusion));
      return;
    }
    main.out.println(text(vote.winner().result()));
    main.out.printf(
        Locale.ROOT,
        "answer '%s', votes %s, %d of %d paths, %.2f s%n",
        vote.answer(),
        Hex.tally(vote),
        vote.paths().size(),
        vote.planned(),
        vote.seconds());
  }

  private String text(DiffusionResult result) {
    return text(result.tokens());
  }

  /** Up to the first end token. */
  private String text(int[] tokens) {
    return DiffusionComparison.text(model, tokens);
  }

  private Map<String, Object> object(
      DiffusionRequest request, DiffusionResult result, Map<String, Object> diffusion) {
    Map<String, Object> object = new LinkedHashMap<>();
    int[] tokens = DiffusionResult.before(result.tokens(), model.endTokens());
    object.put("text", text(result));
    object.put("tokens", tokens);
    object.put("prompt_tokens", request.canvas().promptLength());
    object.put("stop_reason", tokens.length < result.tokens().length ? "eos" : "length");
    object.put("decode_tok_s", result.tokens().length / result.seconds());
    object.put("kv_bytes_per_token", model.cacheBytesPerToken());
    object.put("diffusion", diffusion);
    object.put("peak_rss_bytes", ProcessMemory.peakBytes());
    object.put("threads", model.threads());
    object.put("tier", Sylvester.tier());
    return object;
  }

  private static Map<String, Object> diffusion(DiffusionResult result) {
    Map<String, Object> object = new LinkedHashMap<>();
    object.put("steps", result.steps());
    object.put("forward_passes", result.forwardPasses());
    object.put("rows_computed", result.rowsComputed());
    object.put("rows_predicted", result.rowsPredicted());
    object.put("edits", result.edits());
    object.put("committed_at", result.committedAt());
    object.put("stopped_by", result.stoppedBy());
    object.put("stop_step", result.stopStep());
    return object;
  }
}
