package dev.sylvester.kernels.spec;

import java.util.List;

/**
 * Several sources, of which one proposes in a round: the first that has candidates, in the order
 * given or in that of the tokens per time that each gave so far.
 */
public final class SourceChain implements DraftSource {
  /** Most sources. */
  static final int MOST = 8;

  private static final double KEEP = 0.95; // of a round's weight after the next one
  private static final int FIRST_ROUNDS = 4; // of each source, before they are compared
  private static final int TRY = 32; // one round in so many asks another than the best first

  private final DraftSource[] sources;
  private final boolean ranked;
  private final double[] rounds;
  private final double[] tokens;
  private final double[] nanos;
  private final int[] order;
  private long calls;
  private int last;

  private SourceChain(List<? extends DraftSource> list, boolean ranked) {
    if (list.isEmpty() || list.size() > MOST) {
      throw new IllegalArgumentException(list.size() + " sources, must be 1.." + MOST);
    }
    this.sources = list.toArray(DraftSource[]::new);
    this.ranked = ranked;
    rounds = new double[sources.length];
    tokens = new double[sources.length];
    nanos = new double[sources.length];
    order = new int[sources.length];
  }

  /**
   * The first source that has candidates proposes.
   *
   * @param sources the chain owns them
   * @return the chain
   */
  public static SourceChain firstOf(List<? extends DraftSource> sources) {
    return new SourceChain(sources, false);
  }

  /**
   * The source that gives most tokens per time proposes, if it has candidates; else the next.
   *
   * @param sources the chain owns them
   * @return the chain
   */
  public static SourceChain bestOf(List<? extends DraftSource> sources) {
    return new SourceChain(sources, true);
  }

  @Override
  public String name() {
    StringBuilder names = new StringBuilder();
    for (DraftSource source : sources) {
      names.append(names.isEmpty() ? "" : "+").append(source.name());
    }
    return names.toString();
  }

  @Override
  public void prepare(Text text) {
    for (DraftSource source : sources) {
      source.prepare(text);
    }
  }

  @Override
  public void propose(Text text, Draft draft) {
    rank();
    for (int index : order) {
      last = index;
      draft.from(index);
      sources[index].propose(text, draft);
      if (draft.count() > 0) {
        return;
      }
    }
  }

  @Override
  public void judged(int drafted, int accepted, long roundNanos) {
    rounds[last]++;
    tokens[last] = KEEP * tokens[last] + accepted + 1;
    nanos[last] = KEEP * nanos[last] + roundNanos;
    sources[last].judged(drafted, accepted, roundNanos);
  }

  // Insertion sort, stable: equal ones stay as they were given.
  private void rank() {
    for (int i = 0; i < order.length; i++) {
      int at = i;
      if (ranked) {
        for (; at > 0 && rate(order[at - 1]) < rate(i); at--) {
          order[at] = order[at - 1];
        }
      }
      order[at] = i;
    }
    if (ranked && ++calls % TRY == 0) {
      int turn = (int) (calls / TRY % order.length);
      int other = order[turn];
      System.arraycopy(order, 0, order, 1, turn);
      order[0] = other;
    }
  }

  private double rate(int index) {
    return rounds[index] < FIRST_ROUNDS ? Double.POSITIVE_INFINITY : tokens[index] / nanos[index];
  }

  @Override
  public void close() {
    for (DraftSource source : sources) {
      source.close();
    }
  }
}
