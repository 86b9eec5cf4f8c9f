package dev.sylvester.runner.cli;

import dev.sylvester.kernels.SpecMode;
import dev.sylvester.kernels.spec.SpecOptions;
import dev.sylvester.kernels.spec.StopRule;
import dev.sylvester.runner.Model;
import dev.sylvester.runner.Sampler;
import dev.sylvester.runner.Session;
import dev.sylvester.runner.Speculator;
import java.nio.file.Path;
import java.util.Objects;
import java.util.stream.Stream;
import picocli.CommandLine.Option;

/** Whether a draft helps, and how. */
final class SpecArguments {
  private static final int MOST_CANDIDATES = 255;

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
          "Candidates of a round, 1..255, or auto: as many as pay by the times measured on the way"
              + " and, with an acceptance head, by what it says; none while none do. Default: auto.")
  private String length;

  @Option(
      names = "--accept-head",
      paramLabel = "FILE",
      description =
          "Predicts which candidates are accepted (sylvester train-head). Default: the one that"
              + " comes with the draft, if any.")
  private Path head;

  @Option(
      names = "--tree",
      paramLabel = "SHAPE",
      description =
          "Draft trees: children of each level, such as 4,2,1, or grow:N, the N most probable"
              + " candidates.")
  private String tree;

  private static void requireAbsent(Object value, String option) {
    if (value != null) {
      throw new IllegalArgumentException(option + " needs a --draft");
    }
  }

  /** Whether any of them is given. */
  boolean given() {
    return Stream.of(draft, mode, length, head, tree).anyMatch(Objects::nonNull);
  }

  /** Opens what drafts; null when nothing does. */
  Drafting open(Model target, Sampler sampler) {
    if (draft == null) {
      requireAbsent(mode, "--spec");
      requireAbsent(length, "--draft-len");
      requireAbsent(head, "--accept-head");
      requireAbsent(tree, "--tree");
      return null;
    }
    if (mode == SpecMode.GREEDY && sampler.options().temperature() > 0) {
      throw new IllegalArgumentException(
          "--spec greedy takes the most probable token: it needs --temperature 0, not %s"
              .formatted(sampler.options().temperature()));
    }
    if (tree != null && length != null) {
      throw new IllegalArgumentException(
          "--tree says how many candidates there are, as --draft-len");
    }
    rule(); // tells now what is wrong
    return Drafting.open(draft, head, tree, target);
  }

  /** Speculation with what {@link #open} gave, for a session; null when that was null. */
  Speculator speculator(Drafting drafting, Session session) {
    if (drafting == null) {
      return null;
    }
    SpecOptions options = drafting.options(mode == null ? SpecMode.EXACT : mode, rule());
    return Speculator.of(session, drafting.source(session), options);
  }

  private StopRule rule() {
    if (length == null || length.equals("auto")) {
      return new StopRule.Cost(1, Drafting.MOST);
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
