package dev.sylvester.kernels.spec;

import java.util.function.IntUnaryOperator;

/**
 * When a chain of candidates is long enough. A rule sees candidates that will all be verified: none
 * may be taken back for what it is, which would change the law of the text.
 */
public sealed interface StopRule {
  /**
   * Whether another candidate is wanted.
   *
   * @param progress at least one candidate
   * @return whether to go on
   */
  boolean more(Progress progress);

  /**
   * Most candidates of a chain.
   *
   * @return at least 1
   */
  int most();

  /**
   * The length of drafts that this rule begins with; see {@link #nextLength}.
   *
   * @return in candidates
   */
  default int firstLength() {
    return most();
  }

  /**
   * The length of the next draft, for rules that adapt it from round to round.
   *
   * @param length of this round
   * @param drafted candidates
   * @param accepted how many of them were accepted
   * @return the next length
   */
  default int nextLength(int length, int drafted, int accepted) {
    return length;
  }

  /**
   * Always as many.
   *
   * @param most candidates
   */
  record Constant(int most) implements StopRule {
    /** Checks. */
    public Constant {
      checkBounds(1, most);
    }

    @Override
    public boolean more(Progress progress) {
      return progress.count() < most;
    }
  }

  /**
   * Two more after a draft that was accepted as a whole, else one less, as Hugging Face's {@code
   * heuristic} schedule.
   *
   * @param first length
   * @param most candidates
   */
  record Heuristic(int first, int most) implements StopRule {
    /** Checks. */
    public Heuristic {
      checkBounds(first, most);
    }

    @Override
    public boolean more(Progress progress) {
      return progress.count() < Math.min(progress.length(), most);
    }

    @Override
    public int firstLength() {
      return first;
    }

    @Override
    public int nextLength(int length, int drafted, int accepted) {
      return accepted == drafted ? Math.min(length + 2, most) : Math.max(length - 1, 1);
    }
  }

  /**
   * Until the draft gives a candidate less than this probability; the candidate stays.
   *
   * @param atLeast probability
   * @param least candidates
   * @param most candidates
   */
  record Confidence(double atLeast, int least, int most) implements StopRule {
    /** Checks. */
    public Confidence {
      checkBounds(least, most);
      checkNumber("atLeast", atLeast);
    }

    @Override
    public boolean more(Progress p) {
      return within(p, least, most, p.confidence() >= atLeast);
    }
  }

  /**
   * Until the draft's distribution has more entropy than this.
   *
   * @param atMost in nats
   * @param least candidates
   * @param most candidates
   */
  record Entropy(double atMost, int least, int most) implements StopRule {
    /** Checks. */
    public Entropy {
      checkBounds(least, most);
      checkNumber("atMost", atMost);
    }

    @Override
    public boolean more(Progress p) {
      return within(p, least, most, p.entropy() <= atMost);
    }
  }

  /**
   * SpecDec++ (arXiv 2405.19715): until the probability that a candidate is rejected exceeds h.
   *
   * @param h threshold
   * @param least candidates
   * @param most candidates
   */
  record Threshold(double h, int least, int most) implements StopRule {
    /** Checks. */
    public Threshold {
      checkBounds(least, most);
      checkNumber("h", h);
    }

    @Override
    public boolean more(Progress p) {
      return within(p, least, most, 1 - p.survival() <= h);
    }
  }

  /**
   * While some number of further candidates gains more tokens than their time would give elsewhere:
   * sum of P(each is accepted) >= tokens per time x (time to draft them + what their rows add to
   * the pass). More than one is looked at because rows are not equally dear.
   *
   * @param least candidates
   * @param most candidates
   */
  record Cost(int least, int most) implements StopRule {
    /** Checks. */
    public Cost {
      checkBounds(least, most);
    }

    @Override
    public boolean more(Progress p) {
      return p.count() < least || pays(p);
    }

    private boolean pays(Progress p) {
      RunningMeans means = p.means();
      int rows = p.count() + 1;
      double chance = p.survival() * Math.pow(means.acceptance(), p.count() - p.judged());
      double draft = means.tokensPerNano() * means.draftNanos();
      double gain = 0;
      for (int further = 1; rows + further <= most + 1; further++) {
        chance *= means.acceptance();
        // Not even with rows for nothing.
        if (!(chance >= draft)) {
          return false;
        }
        gain += chance - draft;
        double pass = p.passNanos(rows + further) - p.passNanos(rows);
        if (gain >= means.tokensPerNano() * pass) {
          return true;
        }
      }
      return false;
    }
  }

  /**
   * Knows the best length. For measurements.
   *
   * @param lengths by position of the text, in candidates
   * @param most candidates
   */
  record Oracle(IntUnaryOperator lengths, int most) implements StopRule {
    /** Checks. */
    public Oracle {
      checkBounds(1, most);
    }

    @Override
    public boolean more(Progress progress) {
      return progress.count() < Math.min(lengths.applyAsInt(progress.position()), most);
    }
  }

  private static boolean within(Progress progress, int least, int most, boolean more) {
    return progress.count() < least || progress.count() < most && more;
  }

  private static void checkBounds(int least, int most) {
    if (least < 1 || most < least || most > 255) {
      throw new IllegalArgumentException(
          "lengths are " + least + ".." + most + ", must be within 1..255 and ascending");
    }
  }

  private static void checkNumber(String name, double value) {
    if (Double.isNaN(value)) {
      throw new IllegalArgumentException(name + " is NaN");
    }
  }
}
