package dev.sylvester.runner.cli;

import dev.sylvester.kernels.SpecMode;
import dev.sylvester.kernels.spec.StopRule;
import dev.sylvester.runner.Model;
import dev.sylvester.runner.Sampler;
import java.nio.file.Path;
import picocli.CommandLine.Option;

/** Whether a draft helps, and how. */
final class SpecArguments {
  private static final int MOST_CANDIDATES = 255;
  private static final int MOST_AUTO = 20;

  @Option(
      names = "--draft",
      paramLabel = "DRAFT",
      description =
          "Speculate: a smaller model, ngram (what followed earlier in the text), ngram+MODEL, or"
              + " skip:N (the model's first N layers).")
  private String draft;

  @Option(
      names = "--spec",
      paramLabel = "MODE",
      description =
          "exact: the text of the seed, as without a draft; token, block: its distribution;"
              + " greedy. Default: exact.")
  private SpecMode mode;

  @Option(
      names = "--draft-len",
      paramLabel = "K",
      description =
          "Candidates of a round, 1..255, or auto: as many as pay, and none while none do."
              + " Default: auto.")
  private String length;

  @Option(
      names = "--accept-head",
      paramLabel = "FILE",
      description =
          "Predicts which candidates are accepted (sylvester train-head). Default: the one that"
              + " comes with the draft, if any.")
  private Path head;

  private static void requireAbsent(Object value, String option) {
    if (value != null) {
      throw new IllegalArgumentException(option + " needs a --draft");
    }
  }

  /**
   * Opens what drafts; null when nothing does.
   *
   * @param arguments of the target; the draft gets as many threads
   * @param sampler of the target
   */
  Drafting open(ModelArguments arguments, Model target, Sampler sampler) {
    if (draft == null) {
      requireAbsent(mode, "--spec");
      requireAbsent(length, "--draft-len");
      requireAbsent(head, "--accept-head");
      return null;
    }
    SpecMode chosen = mode == null ? SpecMode.EXACT : mode;
    if (chosen == SpecMode.GREEDY && sampler.options().temperature() > 0) {
      throw new IllegalArgumentException(
          "--spec greedy takes the most probable token: it needs --temperature 0, not %s"
              .formatted(sampler.options().temperature()));
    }
    return Drafting.open(draft, head, chosen, rule(), arguments, target);
  }

  private StopRule rule() {
    if (length == null || length.equals("auto")) {
      return new StopRule.Cost(1, MOST_AUTO);
    }
    try {
      int count = Integer.parseInt(length);
      if (count >= 1 && count <= MOST_CANDIDATES) {
        return new StopRule.Constant(count);
      }
    } catch (NumberFormatException e) {
      // Told below, as a number out of range is.
    }
    throw new IllegalArgumentException(
        "draft length is '%s', must be 1..%d or auto".formatted(length, MOST_CANDIDATES));
  }
}
