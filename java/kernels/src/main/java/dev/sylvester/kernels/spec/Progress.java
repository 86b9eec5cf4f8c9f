package dev.sylvester.kernels.spec;

/** What a {@link StopRule} knows between two candidates of a chain. */
public interface Progress {
  /**
   * Candidates so far.
   *
   * @return at least 1
   */
  int count();

  /**
   * Length of the text before them.
   *
   * @return in tokens
   */
  int position();

  /**
   * What the source thinks of the last candidate; of drawn ones the draft's probability.
   *
   * @return 0..1; NaN: unknown
   */
  double confidence();

  /**
   * Entropy of the draft's distribution that the last candidate was drawn from.
   *
   * @return in nats; NaN: unknown
   */
  double entropy();

  /**
   * Probability that the first {@link #judged} candidates are all accepted.
   *
   * @return 0..1; NaN when a prediction was none
   */
  double survival();

  /**
   * Candidates that {@link #survival} covers: a head predicts a candidate only after the draft has
   * read it.
   *
   * @return count or count - 1
   */
  int judged();

  /**
   * The length that {@link StopRule#nextLength} gave after the last round.
   *
   * @return in candidates
   */
  int length();

  /**
   * Means measured so far.
   *
   * @return the running means
   */
  RunningMeans means();

  /**
   * Time of a pass of the target, measured or between what was measured.
   *
   * @param rows of the pass: candidates and one, at least 1
   * @return in nanoseconds
   */
  double passNanos(int rows);
}
