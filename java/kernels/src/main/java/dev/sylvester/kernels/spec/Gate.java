package dev.sylvester.kernels.spec;

/** Decides between drafting and plain decoding by what gives more tokens in a time. */
final class Gate {
  /** While closed, rounds without candidates; drafts follow until one counts. */
  static final int PROBE = 64;

  private static final double KEEP = 0.95;
  private static final double KEEP_PROBE = 0.7; // a rare look counts more
  private static final double NEGLIGIBLE = 0.01; // of a token, for a look that found nothing
  private static final double LEAST = 5; // rounds, before it may close

  private double rounds;
  private double tokens;
  private double nanos;
  private boolean closed;
  private int closedRounds;

  /** Whether the next round drafts. */
  boolean open() {
    if (!closed) {
      return true;
    }
    closedRounds++;
    return closedRounds >= PROBE;
  }

  /**
   * Counts a round in which the source was asked.
   *
   * @param emitted tokens; 0 when it had no candidates
   * @param roundNanos of the round; of the source alone when it had no candidates
   * @param plainNanos for a token by plain decoding; NaN: unknown
   * @param catchesUp whether the round before did not draft on this text, so that the source had
   *     more to read than drafts need
   */
  void add(int emitted, double roundNanos, double plainNanos, boolean catchesUp) {
    if (emitted == 0 && roundNanos < NEGLIGIBLE * plainNanos) {
      return;
    }
    if (catchesUp) {
      return;
    }
    closedRounds = 0;
    double keep = closed ? KEEP_PROBE : KEEP;
    rounds = keep * rounds + 1;
    tokens = keep * tokens + emitted;
    nanos = keep * nanos + roundNanos;
    boolean pays = !(tokens * plainNanos < nanos);
    if (closed == pays && (closed || rounds > LEAST)) {
      closed = !closed;
    }
  }
}
