package dev.sylvester.kernels.spec;

import dev.sylvester.kernels.Status;
import dev.sylvester.kernels.SylvesterException;
import dev.sylvester.kernels.ThreadPool;
import dev.sylvester.kernels.Verifier;
import dev.sylvester.kernels.Workspace;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Objects;
import java.util.function.IntPredicate;

/**
 * Continues texts of a target model with a draft's help: rounds of drafting, reading, verifying.
 * Between rounds the target has read the text but for its last token. One text after the other may
 * be continued; means and statistics go on.
 */
public final class Speculation implements AutoCloseable {
  private static final double KEEP = 0.97; // of a round's weight after the next one

  private final TargetModel target;
  private final DraftSource source;
  private final SpecOptions options;
  private final ThreadPool pool;
  private final Arena arena = Arena.ofShared();
  private final Workspace workspace = new Workspace();
  private final Sampling sampling;
  private final Draft draft;
  private final Verifier verifier;
  private final long[] historyCount = new long[1];
  private final long[] biasCount = new long[1];
  private final int[] path;

  private final PassCosts costs;
  private final PassCosts plain = new PassCosts(1); // rounds without candidates
  private final Gate gate = new Gate();
  private final Counters counters;
  private final boolean timed; // decisions need to know what a plain pass costs
  private double tokens;
  private double nanos;
  private int length;
  private int sinceMeasured;
  private Text draftedText; // that the source was asked about in the last round; null: none
  private int draftedLength; // of that text after the round

  private Speculation(
      TargetModel target, DraftSource source, SpecOptions options, ThreadPool pool) {
    this.target = target;
    this.source = source;
    this.options = options;
    this.pool = pool;
    int nodes = options.nodes();
    sampling = new Sampling(options, target.vocabulary(), workspace, arena);
    draft = new Draft(options, target.vocabulary(), sampling, arena);
    verifier = Verifier.allocate(1, nodes + 1, arena);
    biasCount[0] = sampling.biasCount();
    path = new int[nodes + 1];
    costs = new PassCosts(nodes + 1);
    counters = new Counters(nodes);
    timed = options.gate() || options.rule() instanceof StopRule.Cost;
    length = options.rule().firstLength();
  }

  /**
   * A speculation. Target and source stay the caller's.
   *
   * @param target whose text is continued
   * @param source of candidates
   * @param options how
   * @param pool threads of verification, or null
   * @return the speculation
   */
  public static Speculation of(
      TargetModel target, DraftSource source, SpecOptions options, ThreadPool pool) {
    Objects.requireNonNull(target, "target");
    Objects.requireNonNull(source, "source");
    return new Speculation(target, source, Objects.requireNonNull(options, "options"), pool);
  }

  /**
   * One round: appends tokens to the text, at least one unless the context is full. An end token is
   * the last of them. After an exception text and target are as before.
   *
   * @param text of which the target has read all but the last token
   * @param most tokens to append, at least 1
   * @return number of appended tokens
   */
  public int round(Text text, int most) {
    check(text, most);
    int begin = text.length();
    int room = Math.min(most, target.context() - begin);
    if (room <= 0) {
      return 0;
    }
    long start = System.nanoTime();
    boolean asked = propose(text, room);
    long proposed = System.nanoTime();
    MemorySegment logits =
        target.read(draft.tokens(), draft.chain() ? null : draft.parents(), draft.count() + 1);
    long read = System.nanoTime();
    int emitted;
    try {
      verify(text, logits);
      emitted = keep(text);
    } catch (RuntimeException | Error e) {
      rollBack(begin);
      throw e;
    }
    long end = System.nanoTime();
    account(text, asked, emitted, proposed - start, read - proposed, end - read);
    return emitted;
  }

  private void check(Text text, int most) {
    if (most < 1) {
      throw bad("round", "most is " + most + ", must be at least 1");
    }
    if (text.length() == 0 || target.position() != text.length() - 1) {
      throw bad(
          "round",
          "the target has read "
              + target.position()
              + " tokens of "
              + text.length()
              + ", must be all but the last");
    }
  }

  private static SylvesterException bad(String method, String problem) {
    return new SylvesterException(Status.BAD_VALUE, "Speculation." + method + ": " + problem);
  }

  private boolean propose(Text text, int room) {
    int nodes = Math.min(options.nodes(), target.maxRows() - 1);
    draft.begin(text, nodes, room - 1, length, costs, rate());
    boolean asks = room > 1 && nodes > 0 && !measures() && (!options.gate() || gate.open());
    if (asks) {
      source.propose(text, draft);
    }
    return asks;
  }

  /**
   * Whether this round is a plain one to learn what such a one costs: the first, and later ones
   * ever more rarely.
   */
  private boolean measures() {
    int ones = costs.ones();
    int pause = ones == 0 ? 0 : ones < 4 ? 4 << ones : Gate.PROBE;
    sinceMeasured++;
    return timed && sinceMeasured > pause;
  }

  private double rate() {
    return nanos > 0 ? tokens / nanos : 1 / costs.of(1);
  }

  private void verify(Text text, MemorySegment logits) {
    int count = draft.count();
    verifier.begin(sampling.mode(), target.vocabulary());
    if (draft.chain()) {
      System.arraycopy(draft.tokens(), 1, path, 0, count);
      verifier.add(sampling.target(), text.length(), path, count);
    } else {
      verifier.addTree(
          sampling.target(), text.length(), draft.tokens(), draft.parents(), count + 1);
    }
    verifier.logits(logits, target.stride());
    verifier.endTokens(sampling.endIds(), sampling.endCount());
    if (biasCount[0] > 0) {
      verifier.bias(sampling.biasIds(), sampling.biasValues(), biasCount);
    }
    if (sampling.penalties()) {
      historyCount[0] = text.length();
      verifier.history(text.memory(0), historyCount);
    }
    if (sampling.stochastic() && draft.drawnFrom() != null) {
      verifier.draft().logits(draft.drawnFrom(), target.vocabulary(), target.vocabulary());
      verifier.draft().logProbabilities(draft.logQ());
    }
    verifier.verify(workspace, pool);
  }

  /** Appends what was accepted, and the token after it; returns how many. */
  private int keep(Text text) {
    int accepted = verifier.accepted(0);
    int next = verifier.next(0);
    int emitted = accepted + (next >= 0 ? 1 : 0);
    path[0] = 0;
    for (int i = 0; i < accepted; i++) {
      path[i + 1] = verifier.path(i);
    }
    // All but the last token, which comes first in the next pass.
    if (draft.chain()) {
      target.truncate(text.length() - 1 + emitted);
    } else {
      target.keep(path, emitted);
    }
    for (int i = 1; i <= accepted; i++) {
      text.append(draft.token(path[i]));
    }
    if (next >= 0) {
      text.append(next);
    }
    return emitted;
  }

  private void rollBack(int begin) {
    if (draft.chain()) {
      target.truncate(begin - 1);
    } else {
      target.keep(path, 0);
    }
  }

  // ---- What the round says about the next ----

  private void account(
      Text text, boolean asked, int emitted, long drafting, long reading, long verifying) {
    int count = draft.count();
    int accepted = verifier.accepted(0);
    boolean ended = verifier.next(0) < 0;
    double all = drafting + reading + verifying;
    costs.add(count + 1, reading);
    if (count == 0) {
      sinceMeasured = 0;
      plain.add(1, reading + verifying);
    }
    tokens = KEEP * tokens + emitted;
    nanos = KEEP * nanos + all;
    if (count > 0) {
      learn(accepted, ended);
      length = options.rule().nextLength(length, count, accepted);
      source.judged(count, accepted, (long) all);
    }
    boolean catchesUp = text != draftedText || text.length() - emitted != draftedLength;
    draftedText = asked ? text : null;
    draftedLength = text.length();
    if (asked && options.gate()) {
      gate.add(count > 0 ? emitted : 0, count > 0 ? all : drafting, plain.of(1), catchesUp);
    }
    int depth = 0;
    for (int node = 1; node <= count; node++) {
      depth = Math.max(depth, draft.depth(node));
    }
    counters.round(count, depth, accepted, emitted);
    for (int i = 0; i < accepted + (ended ? 0 : 1); i++) {
      int rank = i < accepted ? draft.rank(path[i + 1]) : draft.children(path[i]);
      counters.children(draft.children(path[i]), rank);
    }
    counters.times(drafting, reading, verifying);
  }

  private void learn(int accepted, boolean ended) {
    int count = draft.count();
    SourceMeans means = draft.sourceMeans();
    if (count > 1) {
      means.addDraft(count - 1, draft.nanosAfterFirst());
    }
    if (!draft.chain()) {
      return; // siblings stand for each other
    }
    // The first rejected candidate was judged too, those after it were not.
    int judged = ended ? accepted : Math.min(accepted + 1, count);
    for (int node = 1; node <= judged; node++) {
      boolean was = node <= accepted;
      means.add(draft.confidence(node), was);
      if (draft.predicted(node)) {
        counters.prediction(draft.prediction(node), was);
      }
    }
  }

  /**
   * Continues a text until an end token, the number of tokens, the context or the consumer ends it.
   *
   * @param text of which the target has read all but the last token
   * @param maxTokens most tokens to append
   * @param consumer takes each new token, an end token too, and says whether to go on; after a "no"
   *     that token is the text's last
   * @return number of appended tokens
   */
  public int generate(Text text, int maxTokens, IntPredicate consumer) {
    int first = text.length();
    while (text.length() - first < maxTokens) {
      int begin = text.length();
      int emitted = round(text, maxTokens - (begin - first));
      for (int i = begin; i < begin + emitted; i++) {
        if (!consumer.test(text.get(i))) {
          cut(text, i + 1);
          return i + 1 - first;
        }
      }
      if (emitted == 0 || sampling.ends(text.last())) {
        break;
      }
    }
    return text.length() - first;
  }

  /**
   * Takes back tokens of the last round, such as those after a stop string.
   *
   * @param text that the round has appended to
   * @param newLength how many tokens stay, at least 1
   */
  public void cut(Text text, int newLength) {
    if (newLength < 1 || newLength > text.length()) {
      throw bad("cut", "newLength is " + newLength + ", must be 1.." + text.length());
    }
    target.truncate(newLength - 1);
    counters.cut(text.length() - newLength);
    text.truncate(newLength);
  }

  /**
   * What was done so far.
   *
   * @return a copy
   */
  public SpecStats stats() {
    return counters.stats(costs.ones() == 0 ? Double.NaN : costs.of(1));
  }

  /** Frees memory. */
  @Override
  public void close() {
    workspace.close();
    if (arena.scope().isAlive()) {
      arena.close();
    }
  }
}
