package dev.sylvester.runner.eval;

import dev.sylvester.runner.CacheOptions;
import dev.sylvester.runner.CacheUsage;
import dev.sylvester.runner.Model;
import dev.sylvester.runner.Session;
import dev.sylvester.runner.hub.Progress;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** What kinds of caches cost a model: perplexity, divergence from f16, bytes, speed. */
public final class KvComparison {
  private static final int RUNS = 3;
  private static final int STEPS = 32;

  /**
   * One kind.
   *
   * @param cache the kind
   * @param sums over all windows
   * @param usage after the last window
   * @param tokensPerSecond decode speed with half a window in the cache
   */
  public record Row(
      CacheOptions cache, Divergence.Sums sums, CacheUsage usage, double tokensPerSecond) {

    /** {@code exp} of the mean negative log-likelihood. */
    public double perplexity() {
      return Math.exp(sums.meanNll());
    }

    /** Bits of a number, mean of keys and values. */
    public double bits() {
      return (usage.bitsKeys() + usage.bitsValues()) / 2;
    }
  }

  private KvComparison() {}

  /**
   * Compares; the first row is f16. Prompts are read with packed caches too.
   *
   * @param tokens a text, at least a window
   * @param window tokens of a window
   * @param kinds the others
   * @param progress told about tokens
   */
  public static List<Row> run(
      Model model, int[] tokens, int window, List<CacheOptions> kinds, Progress progress) {
    List<int[]> windows = Perplexity.windows(tokens, window);
    List<Session> sessions = new ArrayList<>();
    try (Divergence divergence = new Divergence(model.config().vocabSize(), window)) {
      sessions.add(model.newSession(CacheOptions.F16));
      kinds.forEach(kind -> sessions.add(model.newSession(kind)));
      Divergence.Sums[] sums = new Divergence.Sums[sessions.size()];
      Arrays.fill(sums, Divergence.Sums.NONE);
      long done = 0;
      for (int[] text : windows) {
        for (int i = 0; i < sums.length; i++) {
          Session session = sessions.get(i);
          sums[i] =
              sums[i].plus(i == 0 ? divergence.reference(session, text) : divergence.of(session));
          done += window;
          progress.update(done, (long) windows.size() * window * sums.length);
        }
      }
      List<Row> rows = new ArrayList<>();
      for (int i = 0; i < sums.length; i++) {
        Session session = sessions.get(i);
        CacheUsage usage = session.cacheUsage();
        rows.add(new Row(session.cache(), sums[i], usage, speed(session, windows.getLast())));
      }
      return rows;
    } finally {
      sessions.forEach(Session::close);
    }
  }

  private static double speed(Session session, int[] text) {
    int depth = text.length / 2;
    int steps = Math.min(STEPS, text.length - depth);
    session.reset();
    session.append(Arrays.copyOf(text, depth));
    double best = Double.POSITIVE_INFINITY;
    for (int run = 0; run < RUNS; run++) {
      session.truncate(depth);
      long start = System.nanoTime();
      for (int i = 0; i < steps; i++) {
        session.append(text[depth + i]);
      }
      best = Math.min(best, (System.nanoTime() - start) * 1e-9);
    }
    return steps / best;
  }
}
