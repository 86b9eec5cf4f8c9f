package dev.sylvester.runner.cli;

import dev.sylvester.runner.diffusion.AnswerRegion;
import dev.sylvester.runner.diffusion.CachePolicy;
import dev.sylvester.runner.diffusion.CommitRule;
import dev.sylvester.runner.diffusion.DelayedKv;
import dev.sylvester.runner.diffusion.EntropyBound;
import dev.sylvester.runner.diffusion.EosPrefix;
import dev.sylvester.runner.diffusion.Factor;
import dev.sylvester.runner.diffusion.FixedK;
import dev.sylvester.runner.diffusion.GapThreshold;
import dev.sylvester.runner.diffusion.JointThreshold;
import dev.sylvester.runner.diffusion.LocalLeap;
import dev.sylvester.runner.diffusion.Origin;
import dev.sylvester.runner.diffusion.Prophet;
import dev.sylvester.runner.diffusion.StopRule;
import dev.sylvester.runner.diffusion.Threshold;
import dev.sylvester.runner.diffusion.Wino;
import java.util.Arrays;
import java.util.Locale;
import java.util.Set;

/** Rules by name, with their numbers behind a colon. */
final class DiffusionNames {
  private DiffusionNames() {}

  /** A name and its numbers, or the defaults. */
  private record Parsed(String option, String text, String name, double[] given) {
    static Parsed of(String option, String text) {
      String[] parts = text.strip().toLowerCase(Locale.ROOT).split(":", 2);
      try {
        double[] numbers =
            parts.length == 1
                ? new double[0]
                : Arrays.stream(parts[1].split(",")).mapToDouble(Double::parseDouble).toArray();
        return new Parsed(option, text, parts[0], numbers);
      } catch (NumberFormatException e) {
        throw new IllegalArgumentException(
            "%s is '%s', must be NAME or NAME:NUMBERS".formatted(option, text), e);
      }
    }

    double[] numbers(double... defaults) {
      if (given.length != 0 && given.length != defaults.length) {
        throw new IllegalArgumentException(
            "%s is '%s', must have %d numbers".formatted(option, text, defaults.length));
      }
      return given.length == 0 ? defaults : given;
    }

    double number(double otherwise) {
      return numbers(otherwise)[0];
    }

    int whole(String what, double value) {
      if (value != (int) value) {
        throw new IllegalArgumentException(
            "%s is '%s', its %s must be a whole number".formatted(option, text, what));
      }
      return (int) value;
    }

    /** For a name without numbers. */
    <T> T plain(T value) {
      numbers();
      return value;
    }
  }

  static CommitRule commit(String text) {
    Parsed parsed = Parsed.of("commit", text);
    return switch (parsed.name()) {
      case "low-confidence" -> parsed.plain(new FixedK(FixedK.Score.CONFIDENCE));
      case "margin" -> parsed.plain(new FixedK(FixedK.Score.MARGIN));
      case "entropy" -> parsed.plain(new FixedK(FixedK.Score.NEGATIVE_ENTROPY));
      case "random" -> parsed.plain(new FixedK(FixedK.Score.RANDOM));
      case "origin" -> parsed.plain(new Origin());
      case "threshold" -> new Threshold(parsed.number(0.9));
      case "factor" -> new Factor(parsed.number(1));
      case "entropy-bound" -> new EntropyBound(parsed.number(0.15));
      case "local-leap" -> {
        double[] n = parsed.numbers(0.9, 0.75, 4);
        yield new LocalLeap(n[0], n[1], parsed.whole("distance", n[2]));
      }
      case "wino" -> {
        double[] n = parsed.numbers(0.6, 0.9);
        yield new Wino(n[0], n[1]);
      }
      case "joint-threshold" -> {
        double[] n = parsed.numbers(0.5, 0, 16);
        yield new JointThreshold(n[0], n[1], parsed.whole("edit passes", n[2]));
      }
      default ->
          throw new IllegalArgumentException(
              ("commit is '%s', must be low-confidence, margin, entropy, random, origin,"
                      + " threshold, factor, entropy-bound, local-leap, wino or joint-threshold")
                  .formatted(text));
    };
  }

  /** Whether a text names a cache. */
  static boolean isCache(String text) {
    return text.strip().toLowerCase(Locale.ROOT).matches("(none|prefix|dual|delayed)(:.*)?");
  }

  static CachePolicy cache(String text) {
    Parsed parsed = Parsed.of("cache", text);
    return switch (parsed.name()) {
      case "none" -> parsed.plain(CachePolicy.NONE);
      case "prefix" -> parsed.plain(CachePolicy.PREFIX);
      case "dual" -> parsed.plain(CachePolicy.DUAL);
      case "delayed" -> new DelayedKv(parsed.whole("interval", parsed.number(8)));
      default ->
          throw new IllegalArgumentException(
              "cache is '%s', must be none, prefix, dual or delayed".formatted(text));
    };
  }

  /**
   * A stop.
   *
   * @param region where Prophet looks
   * @param ends the model's end tokens
   */
  static StopRule stop(String text, AnswerRegion region, Set<Integer> ends) {
    Parsed parsed = Parsed.of("stop", text);
    return switch (parsed.name()) {
      case "none" -> parsed.plain(StopRule.NEVER);
      case "eos" -> parsed.plain(new EosPrefix(ends));
      case "prophet" -> {
        double[] n = parsed.numbers(8.0, 5.0, 3.5);
        yield Prophet.of(region, GapThreshold.staged(n[0], n[1], n[2]));
      }
      case "prophet-linear" -> {
        double[] n = parsed.numbers(8.0, 4.5);
        yield Prophet.of(region, GapThreshold.linear(n[0], n[1]));
      }
      case "sched" -> {
        double[] n = parsed.numbers(7.5, 2.5);
        yield Prophet.sched(n[0], n[1]);
      }
      default ->
          throw new IllegalArgumentException(
              "stop is '%s', must be prophet, prophet-linear, sched, eos or none".formatted(text));
    };
  }
}
