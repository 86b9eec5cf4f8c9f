package dev.sylvester.runner.diffusion;

import java.util.Objects;

/**
 * Stops when the model knows the answer before it has written it (Prophet, arXiv 2508.19982): when
 * the distance of the two best logits, on average over the answer's positions, known ones included,
 * reaches a threshold that sinks with progress.
 *
 * @param name what a result calls it
 * @param region where the answer is
 * @param threshold how sure it must be
 */
public record Prophet(String name, AnswerRegion region, GapThreshold threshold)
    implements StopRule {
  /** Checks the values. */
  public Prophet {
    Objects.requireNonNull(name, "name");
    Objects.requireNonNull(region, "region");
    Objects.requireNonNull(threshold, "threshold");
  }

  /** Prophet. */
  public static Prophet of(AnswerRegion region, GapThreshold threshold) {
    return new Prophet("prophet", region, threshold);
  }

  /** The whole generated part and a smooth threshold (SchED, arXiv 2512.02892). */
  public static Prophet sched(double high, double low) {
    return new Prophet("sched", AnswerRegion.whole(), GapThreshold.cosine(high, low));
  }

  @Override
  public void check(Canvas canvas) {
    region.check(canvas);
  }

  @Override
  public void watch(Decoding decoding, Predictions wanted) {
    region.watch(decoding, wanted);
  }

  @Override
  public boolean isSure(Predictions predictions, Decoding decoding) {
    int from = region.from(predictions, decoding);
    if (from < 0) {
      return false;
    }
    int to = region.to(from, predictions, decoding);
    double sum = 0;
    for (int i = from; i < to; i++) {
      sum += predictions.gap(predictions.row(i));
    }
    return sum / (to - from) >= threshold.at(decoding.progress());
  }
}
