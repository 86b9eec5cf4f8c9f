package dev.sylvester.runner.cli;

import dev.sylvester.runner.Model;
import dev.sylvester.runner.diffusion.AnswerRegion;
import dev.sylvester.runner.diffusion.Canvas;
import dev.sylvester.runner.diffusion.DiffusionRequest;
import dev.sylvester.runner.diffusion.Precision;
import dev.sylvester.runner.diffusion.Sampling;
import dev.sylvester.runner.diffusion.Schedule;
import dev.sylvester.runner.diffusion.SemiAutoregressive;
import dev.sylvester.runner.diffusion.StopRule;
import dev.sylvester.runner.diffusion.Timesteps;
import dev.sylvester.runner.text.Tokenizer;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.stream.Stream;
import picocli.CommandLine.Option;

/** How a diffusion model fills its canvas. */
final class DiffusionArguments {
  private static final int LENGTH = 64;
  private static final int BLOCK = 16;

  /** Of Dream's time steps. */
  private static final double EPS = 1e-3;

  /** As in Prophet's released code. */
  private static final int ANSWER_TOKENS = 5;

  @Option(
      names = "--gen-length",
      paramLabel = "N",
      description = "Diffusion models: tokens of the canvas behind the prompt. Default: 64.")
  private Integer length;

  @Option(
      names = "--block",
      paramLabel = "N",
      description =
          "Diffusion models: positions that are filled before those behind them; divides the"
              + " length. 0: none, with Dream's time steps. Default: 16.")
  private Integer block;

  @Option(
      names = "--steps",
      paramLabel = "N",
      description = "Diffusion models: steps of all blocks. Default: one for each position.")
  private Integer steps;

  @Option(
      names = "--commit",
      paramLabel = "RULE",
      description =
          "Diffusion models: which positions become certain: low-confidence (default), margin,"
              + " entropy, random, origin, threshold:0.9, factor:1.0, entropy-bound:0.15,"
              + " local-leap:0.9,0.75,4, wino:0.6,0.9, joint-threshold:0.5,0.9,16.")
  private String commit;

  @Option(
      names = "--answer",
      paramLabel = "REGION",
      description =
          "Diffusion models: where --stop prophet looks: OFFSET+LENGTH; behind:TEXT:LENGTH; rest,"
              + " what is still unknown. Default: 5 tokens behind the last --constraint, else"
              + " rest.")
  private String answer;

  @Option(
      names = "--constraint",
      paramLabel = "OFFSET:TEXT",
      description = "Diffusion models: text that is given at this offset; several times.")
  private List<String> constraints = List.of();

  @Option(
      names = "--cfg",
      paramLabel = "S",
      description = "Diffusion models: classifier-free guidance. Default: 0, none.")
  private Double guidance;

  @Option(
      names = "--cache",
      paramLabel = "KIND",
      description =
          "Diffusion models: what a pass does not compute again: none (default); prefix, what is"
              + " before the block, which --kv can pack; dual, all but the block; delayed:8, known"
              + " tokens, but for every 8th pass.")
  private String cache;

  @Option(
      names = "--precision",
      paramLabel = "KIND",
      description =
          "Diffusion models: how probabilities are computed: f32 (default), f64, or bf16_ref, as the"
              + " released code in bfloat16 rounds them; the last two are slow.")
  private Precision precision;

  @Option(
      names = "--hex",
      description = "Diffusion models: several block sizes and seeds, the most frequent answer.")
  boolean hex;

  @Option(names = "--show", description = "Diffusion models: show the canvas as it fills.")
  boolean show;

  /** For any other model. */
  void refuse(Model model) {
    boolean given =
        Stream.of(length, block, steps, commit, answer, guidance, cache, precision)
            .anyMatch(Objects::nonNull);
    if (given || hex || show || !constraints.isEmpty()) {
      throw new IllegalArgumentException(
          "%s is no diffusion model: --gen-length, --block, --steps, --commit, --answer, --cfg, "
                  .formatted(model.path())
              + "--cache, --precision, --constraint, --hex and --show are of no use");
    }
  }

  /** Refuses what would be ignored beside something else. */
  void requireSense(List<String> stops, boolean json) {
    if (hex && (show || block != null)) {
      throw new IllegalArgumentException(
          "--hex fills canvases with several blocks: --block and --show are of no use");
    }
    if (show && json) {
      throw new IllegalArgumentException("--show and --json exclude each other");
    }
    if (answer != null && stops.stream().noneMatch(stop -> stop.startsWith("prophet"))) {
      throw new IllegalArgumentException("--answer '%s' needs a --stop prophet".formatted(answer));
    }
  }

  Precision precision() {
    return precision == null ? Precision.F32 : precision;
  }

  int length() {
    return length == null ? LENGTH : length;
  }

  int steps() {
    return steps == null ? length() : steps;
  }

  /**
   * The request.
   *
   * @param stops the option --stop
   * @param proposal temperature, filters and seed
   */
  DiffusionRequest request(Model model, int[] prompt, List<String> stops, Sampling proposal) {
    List<Canvas.Constraint> given = constraints(model.tokenizer());
    Canvas canvas = Canvas.of(prompt, length(), model.config().maskId(), given);
    Sampling sampling =
        proposal
            .withTempered(model.config().shiftedLogits())
            .withGuidance(guidance == null ? 0 : guidance);
    return DiffusionRequest.of(canvas, schedule())
        .withRule(DiffusionNames.commit(commit == null ? "low-confidence" : commit))
        .withStop(stop(model, stops, given))
        .withCache(DiffusionNames.cache(cache == null ? "none" : cache))
        .withSampling(sampling);
  }

  private Schedule schedule() {
    int size = block == null ? Math.min(BLOCK, length()) : block;
    return size == 0 ? new Timesteps(EPS, steps()) : new SemiAutoregressive(size, steps());
  }

  private List<Canvas.Constraint> constraints(Tokenizer tokenizer) {
    List<Canvas.Constraint> given = new ArrayList<>();
    for (String constraint : constraints) {
      String[] parts = constraint.split(":", 2);
      if (parts.length < 2 || parts[1].isEmpty() || !parts[0].matches("\\d{1,9}")) {
        throw new IllegalArgumentException(
            "constraint is '%s', must be OFFSET:TEXT".formatted(constraint));
      }
      given.add(
          new Canvas.Constraint(Integer.parseInt(parts[0]), tokenizer.encode(parts[1], false)));
    }
    return given;
  }

  private StopRule stop(Model model, List<String> stops, List<Canvas.Constraint> given) {
    if (stops.size() > 1) {
      throw new IllegalArgumentException(
          "--stop of a diffusion model is one of prophet, prophet-linear, sched, eos, none");
    }
    return stops.isEmpty()
        ? StopRule.NEVER
        : DiffusionNames.stop(stops.getFirst(), region(model, given), model.endTokens());
  }

  private AnswerRegion region(Model model, List<Canvas.Constraint> given) {
    if (answer == null) {
      return given.isEmpty()
          ? AnswerRegion.rest(model.endTokens())
          : AnswerRegion.at(
              given.getLast().offset() + given.getLast().tokens().length, ANSWER_TOKENS);
    }
    if (answer.equals("rest")) {
      return AnswerRegion.rest(model.endTokens());
    }
    if (answer.matches("\\d{1,9}\\+\\d{1,9}")) {
      String[] parts = answer.split("\\+");
      return AnswerRegion.at(Integer.parseInt(parts[0]), Integer.parseInt(parts[1]));
    }
    if (answer.matches("(?s)behind:.+:\\d{1,9}")) {
      int colon = answer.lastIndexOf(':');
      String marker = answer.substring("behind:".length(), colon);
      return AnswerRegion.behind(
          model.tokenizer().encode(marker, false), Integer.parseInt(answer.substring(colon + 1)));
    }
    throw new IllegalArgumentException(
        "answer is '%s', must be OFFSET+LENGTH, behind:TEXT:LENGTH or rest".formatted(answer));
  }
}
