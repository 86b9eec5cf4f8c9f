package dev.sylvester.runner.eval;

import dev.sylvester.kernels.spec.DraftSource;
import dev.sylvester.kernels.spec.SpecOptions;
import dev.sylvester.kernels.spec.SpecStats;
import dev.sylvester.runner.Generation;
import dev.sylvester.runner.GenerationRequest;
import dev.sylvester.runner.Session;
import dev.sylvester.runner.Speculator;
import dev.sylvester.runner.hub.Progress;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Speculation against plain decoding, in one process and in turn: every prompt is continued plainly
 * and with every setting before the next one.
 */
public final class SpecComparison {
  /**
   * A way to speculate.
   *
   * @param name of the rule
   * @param options mode, rule and head
   */
  public record Setting(String name, SpecOptions options) {}

  /**
   * How a setting went.
   *
   * @param setting the setting
   * @param tokensPerSecond decoding
   * @param plainPerSecond plain decoding of the same prompts
   * @param differing texts that are others than plain ones
   * @param stats what was drafted, read, accepted
   */
  public record Row(
      Setting setting,
      double tokensPerSecond,
      double plainPerSecond,
      int differing,
      SpecStats stats) {

    /** Over plain decoding. */
    public double speedup() {
      return tokensPerSecond / plainPerSecond;
    }

    /** Probability that a candidate is accepted whose predecessors are. */
    public double acceptance() {
      long judged = 0;
      long reached = stats.rounds();
      for (int i = 0; i < stats.proposedAt().length; i++) {
        judged += Math.min(stats.proposedAt()[i], reached);
        reached = i < stats.acceptedAt().length ? stats.acceptedAt()[i] : 0;
      }
      return (double) stats.accepted() / judged;
    }

    /** Time of a candidate in the draft over that of a plain step. */
    public double draftCost() {
      return stats.draftNanos() * 1e-9 * plainPerSecond / stats.drafted();
    }

    /** What a further row adds to a pass of the target, over a plain step. */
    public double rowCost() {
      double passes = stats.targetNanos() * 1e-9 * plainPerSecond;
      return (passes - stats.rounds()) / stats.drafted();
    }

    /** Time of verification in a round over that of a plain step. */
    public double overhead() {
      return stats.verifyNanos() * 1e-9 * plainPerSecond / stats.rounds();
    }

    /**
     * The speed-up that the costs above allow when each candidate is accepted independently: E[tau]
     * / (1 + v K + c K + o), over the lengths K that occurred.
     */
    public double bound() {
      double alpha = acceptance();
      double tokens = 0;
      double time = 0;
      for (int k = 0; k < stats.lengthHistogram().length; k++) {
        long rounds = stats.lengthHistogram()[k];
        double each = alpha < 1 ? (1 - Math.pow(alpha, k + 1)) / (1 - alpha) : k + 1;
        tokens += rounds * (k == 0 ? 1 : each);
        time += rounds * (1 + k * (k == 0 ? 0 : rowCost() + draftCost()) + overhead());
      }
      return tokens / time;
    }

    /**
     * The speed-up when a candidate costs {@code draftCost} of a pass and rows and verification
     * nothing, as the paper counts: T = t_draft (N + discarded - verified) + t_target verified.
     */
    public double speedupAt(double draftCost) {
      double discard = stats.discardRate();
      double verify = stats.verifyRate();
      return 1 / (draftCost * (1 + discard - verify) + verify);
    }
  }

  private static final int WARM_UP = 3;

  private final Session session;
  private final DraftSource source;
  private final List<Setting> settings;

  /** Compares in one session, with one source. */
  public SpecComparison(Session session, DraftSource source, List<Setting> settings) {
    this.session = session;
    this.source = source;
    this.settings = List.copyOf(settings);
  }

  /**
   * Runs it.
   *
   * @param requests with the same sampler and end tokens
   * @param progress told about prompts
   */
  public List<Row> run(List<GenerationRequest> requests, Progress progress) {
    for (GenerationRequest request : requests.subList(0, Math.min(WARM_UP, requests.size()))) {
      try (Turns turns = new Turns()) {
        turns.take(request, 0);
      }
    }
    try (Turns turns = new Turns()) {
      for (int i = 0; i < requests.size(); i++) {
        turns.take(requests.get(i), i);
        progress.update(i + 1L, requests.size());
      }
      return turns.rows();
    }
  }

  /** Plain decoding and all settings, prompt by prompt. */
  private final class Turns implements AutoCloseable {
    private final List<Speculator> speculators = new ArrayList<>();
    private final double[] seconds = new double[settings.size() + 1]; // plain: the last
    private final long[] steps = new long[settings.size() + 1];
    private final int[] differing = new int[settings.size()];

    Turns() {
      settings.forEach(s -> speculators.add(Speculator.of(session, source, s.options())));
    }

    void take(GenerationRequest request, int first) {
      int count = settings.size();
      // Reads the prompt, which all others find in the cache.
      Generation plain = session.generate(request);
      add(count, plain);
      for (int turn = 0; turn < count; turn++) {
        int which = (turn + first) % count;
        Generation generation = speculators.get(which).generate(request);
        add(which, generation);
        if (!Arrays.equals(generation.tokens(), plain.tokens())) {
          differing[which]++;
        }
      }
    }

    private void add(int index, Generation generation) {
      seconds[index] += generation.decodeSeconds();
      steps[index] += generation.decodeSteps();
    }

    List<Row> rows() {
      int plain = settings.size();
      List<Row> rows = new ArrayList<>();
      for (int i = 0; i < plain; i++) {
        rows.add(
            new Row(
                settings.get(i),
                steps[i] / seconds[i],
                steps[plain] / seconds[plain],
                differing[i],
                speculators.get(i).stats()));
      }
      return rows;
    }

    @Override
    public void close() {
      speculators.forEach(Speculator::close);
    }
  }
}
