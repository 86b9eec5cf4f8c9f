package dev.sylvester.runner.diffusion;

import java.util.Objects;
import java.util.function.Consumer;

/**
 * How a canvas is filled.
 *
 * @param canvas prompt and unknown tokens
 * @param schedule where and how many
 * @param rule which positions
 * @param stop when the rest is known
 * @param cache what is computed anew
 * @param sampling how a token is proposed
 * @param listener is shown the state after every step
 */
public record DiffusionRequest(
    Canvas canvas,
    Schedule schedule,
    CommitRule rule,
    StopRule stop,
    CachePolicy cache,
    Sampling sampling,
    Consumer<Decoding> listener) {

  /** Checks the values against each other. */
  public DiffusionRequest {
    Objects.requireNonNull(cache, "cache");
    Objects.requireNonNull(sampling, "sampling");
    Objects.requireNonNull(listener, "listener");
    Objects.requireNonNull(rule, "rule");
    if (cache != CachePolicy.NONE && canvas.masks(0, canvas.promptLength()) > 0) {
      throw new IllegalArgumentException(
          "cache is %s, must be none for a prompt with unknown tokens".formatted(cache));
    }
    if (rule.readsProbabilities() && sampling.filters()) {
      throw new IllegalArgumentException(
          "rule is %s, top-k %d and top-p %s: it needs probabilities of all tokens, without filters"
              .formatted(rule, sampling.topK(), sampling.topP()));
    }
    schedule.steps(canvas);
    stop.check(canvas);
  }

  /** The most probable tokens, the most confident first, no early stop, everything computed. */
  public static DiffusionRequest of(Canvas canvas, Schedule schedule) {
    return new DiffusionRequest(
        canvas,
        schedule,
        new FixedK(FixedK.Score.CONFIDENCE),
        StopRule.NEVER,
        CachePolicy.NONE,
        Sampling.GREEDY,
        decoding -> {});
  }

  /** The same with another canvas. */
  public DiffusionRequest withCanvas(Canvas canvas) {
    return new DiffusionRequest(canvas, schedule, rule, stop, cache, sampling, listener);
  }

  /** The same with another schedule. */
  public DiffusionRequest withSchedule(Schedule schedule) {
    return new DiffusionRequest(canvas, schedule, rule, stop, cache, sampling, listener);
  }

  /** The same with another rule. */
  public DiffusionRequest withRule(CommitRule rule) {
    return new DiffusionRequest(canvas, schedule, rule, stop, cache, sampling, listener);
  }

  /** The same with another stop. */
  public DiffusionRequest withStop(StopRule stop) {
    return new DiffusionRequest(canvas, schedule, rule, stop, cache, sampling, listener);
  }

  /** The same with another cache. */
  public DiffusionRequest withCache(CachePolicy cache) {
    return new DiffusionRequest(canvas, schedule, rule, stop, cache, sampling, listener);
  }

  /** The same with other sampling. */
  public DiffusionRequest withSampling(Sampling sampling) {
    return new DiffusionRequest(canvas, schedule, rule, stop, cache, sampling, listener);
  }

  /** The same, watched. */
  public DiffusionRequest withListener(Consumer<Decoding> listener) {
    return new DiffusionRequest(canvas, schedule, rule, stop, cache, sampling, listener);
  }
}
