package dev.sylvester.kernels.spec;

import dev.sylvester.kernels.Status;
import dev.sylvester.kernels.SylvesterException;
import java.util.Random;

/**
 * What a stop rule would give where drafts cost something else: rounds over a text whose candidates
 * are accepted with known probabilities. Times are in passes of one row of the target.
 *
 * @param draftCost of a candidate
 * @param rowCost what each further row adds to a pass
 * @param seed of what is accepted
 */
public record SpecSimulation(double draftCost, double rowCost, long seed) {
  private static final double PRIOR =
      4; // candidates whose acceptance is taken to be the mean below
  private static final double FIRST_MEAN = 0.7;

  /** Checks. */
  public SpecSimulation {
    if (!(draftCost >= 0 && rowCost >= 0)) {
      throw new SylvesterException(
          Status.BAD_VALUE,
          "SpecSimulation: costs are " + draftCost + " and " + rowCost + ", must be 0 or more");
    }
  }

  /**
   * What came out.
   *
   * @param speedup tokens in the time of a plain pass
   * @param tokensPerPass emitted tokens of a pass
   * @param discardRate rejected candidates for each token
   * @param verifyRate passes for each token
   */
  public record Result(
      double speedup, double tokensPerPass, double discardRate, double verifyRate) {}

  /**
   * Simulates a text.
   *
   * @param rule when a draft is long enough
   * @param acceptance for each place of the text: probability that the draft's candidate there is
   *     accepted when those before it are
   * @param predicted what a head says of it; a rule knows all but that of the last candidate
   * @return what came out
   */
  public Result run(StopRule rule, float[] acceptance, float[] predicted) {
    if (acceptance.length == 0 || predicted.length != acceptance.length) {
      throw new SylvesterException(
          Status.BAD_SHAPE,
          "SpecSimulation.run: "
              + predicted.length
              + " predictions of "
              + acceptance.length
              + " candidates");
    }
    return new Run(rule, acceptance, predicted).result();
  }

  private final class Run implements Progress {
    private final StopRule rule;
    private final float[] acceptance;
    private final float[] predicted;
    private final Random random = new Random(seed);
    private int position;
    private int count;
    private int length;
    private double survival;
    private double time;
    private long rounds;
    private long drafted;
    private long accepted;
    private long judged;

    Run(StopRule rule, float[] acceptance, float[] predicted) {
      this.rule = rule;
      this.acceptance = acceptance;
      this.predicted = predicted;
      length = rule.firstLength();
    }

    Result result() {
      while (position < acceptance.length) {
        round();
      }
      return new Result(
          position / time,
          (double) position / rounds,
          (double) (drafted - accepted) / position,
          (double) rounds / position);
    }

    private void round() {
      survival = 1;
      count = 0;
      int room = acceptance.length - position - 1;
      while (count < room && (count == 0 || rule.more(this))) {
        if (count > 0) {
          survival *= predicted[position + count - 1];
        }
        count++;
      }
      int good = 0;
      while (good < count && random.nextFloat() < acceptance[position + good]) {
        good++;
      }
      judged += Math.min(good + 1, count);
      rounds++;
      drafted += count;
      accepted += good;
      time += 1 + count * (draftCost + rowCost);
      position += good + 1;
      if (count > 0) {
        length = rule.nextLength(length, count, good);
      }
    }

    @Override
    public int count() {
      return count;
    }

    @Override
    public int position() {
      return position;
    }

    @Override
    public double confidence() {
      return predicted[position + count - 1];
    }

    @Override
    public double entropy() {
      return Double.NaN;
    }

    @Override
    public double survival() {
      return survival;
    }

    @Override
    public int judged() {
      return count - 1;
    }

    @Override
    public int length() {
      return length;
    }

    @Override
    public RunningMeans means() {
      double mean = (accepted + PRIOR * FIRST_MEAN) / (judged + PRIOR);
      double rate = time > 0 ? position / time : 1;
      return new RunningMeans(mean, rate, draftCost);
    }

    @Override
    public double passNanos(int rows) {
      return 1 + rowCost * (rows - 1);
    }
  }
}
