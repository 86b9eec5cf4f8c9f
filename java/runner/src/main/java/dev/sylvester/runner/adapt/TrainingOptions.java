package dev.sylvester.runner.adapt;

import java.util.Locale;

/**
 * How an adapter is trained.
 *
 * @param method what it starts from
 * @param rank terms of every layer; 0: what the budget gives, without one as many as each layer's
 *     spectrum suggests (soka only)
 * @param budget trained parameters at most; 0: as many as the ranks say
 * @param blocks of Kronecker products
 * @param steps of the optimizer
 * @param batch examples of a pass
 * @param accumulate passes of a step
 * @param learningRate the highest one, after the warm-up and before the cosine
 * @param warmup share of the steps, 0..1
 * @param weightDecay of AdamW
 * @param clip the gradient's largest norm; longer ones are scaled to it
 * @param seed of the order of examples and of lora's start
 */
public record TrainingOptions(
    Method method,
    int rank,
    long budget,
    Blocks blocks,
    int steps,
    int batch,
    int accumulate,
    float learningRate,
    float warmup,
    float weightDecay,
    float clip,
    long seed) {
  /** What an adapter starts from. */
  public enum Method {
    /** The principal Kronecker products of the weights (arXiv 2506.15251). */
    SOKA,
    /** Random A, B zero (arXiv 2106.09685), alpha equal to the rank. */
    LORA,
    /** The principal singular vectors of the weights (arXiv 2404.02948). */
    PISSA
  }

  /** Checks the values. */
  public TrainingOptions {
    require(rank >= 0, "rank", rank, "at least 1");
    require(budget >= 0, "budget", budget, "at least 1");
    require(steps >= 1, "steps", steps, "at least 1");
    require(batch >= 1, "batch", batch, "at least 1");
    require(accumulate >= 1, "accumulate", accumulate, "at least 1");
    require(
        learningRate > 0 && Float.isFinite(learningRate), "learning rate", learningRate, "above 0");
    require(warmup >= 0 && warmup <= 1, "warmup", warmup, "0..1");
    require(
        weightDecay >= 0 && Float.isFinite(weightDecay), "weight decay", weightDecay, "at least 0");
    require(clip > 0, "clip", clip, "above 0");
    if (rank > 0 && budget > 0) {
      throw new IllegalArgumentException("rank and budget are both given, must be one of them");
    }
    if (rank == 0 && budget == 0 && method != Method.SOKA) {
      throw new IllegalArgumentException(
          "%s needs a rank or a budget: only soka finds ranks itself"
              .formatted(method.name().toLowerCase(Locale.ROOT)));
    }
  }

  private static void require(boolean good, String name, Object value, String range) {
    if (!good) {
      throw new IllegalArgumentException("%s is %s, must be %s".formatted(name, value, range));
    }
  }
}
