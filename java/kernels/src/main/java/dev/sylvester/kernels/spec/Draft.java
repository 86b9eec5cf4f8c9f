package dev.sylvester.kernels.spec;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import dev.sylvester.kernels.SpecMode;
import dev.sylvester.kernels.Status;
import dev.sylvester.kernels.SylvesterException;
import dev.sylvester.kernels.internal.NativeMemory;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Objects;

/**
 * Where a {@link DraftSource} puts its candidates: a tree of nodes, of which node 0 is the text so
 * far. Candidates stay once they are here: to drop one for what it is would change the law of the
 * text.
 */
public final class Draft {
  private final SpecOptions options;
  private final SpecMode mode;
  private final int vocabulary;
  private final Arena arena;
  private final Sampling sampling;
  private final SourceMeans[] sources = new SourceMeans[SourceChain.MOST];
  private final View view = new View();

  private final int[] tokens;
  private final int[] parents;
  private final int[] depths;
  private final int[] children; // how many a node has
  private final int[] ranks; // how many of its parent's came before it
  private final float[] logQ;
  private final float[] predictions; // of acceptance, NaN: none
  private final double[] confidences;
  private final MemorySegment[] rows;
  private MemorySegment logits; // of all nodes; null until a source asks for a row

  private Text text;
  private PassCosts costs;
  private double tokensPerNano;
  private int length;
  private int source;
  private int most;
  private int maxDepth;
  private int count;
  private long firstAt; // when it was added, as System.nanoTime says it
  private long lastAt;
  private boolean chain;
  private boolean drawn;
  private boolean chosen;
  private int judged;
  private double survival;

  Draft(SpecOptions options, int vocabulary, Sampling sampling, Arena arena) {
    this.options = options;
    this.mode = sampling.mode();
    this.vocabulary = vocabulary;
    this.sampling = sampling;
    this.arena = arena;
    int nodes = options.nodes() + 1;
    tokens = new int[nodes];
    parents = new int[nodes];
    depths = new int[nodes];
    children = new int[nodes];
    ranks = new int[nodes];
    logQ = new float[nodes];
    predictions = new float[nodes];
    confidences = new double[nodes];
    rows = new MemorySegment[nodes];
    Arrays.setAll(sources, i -> new SourceMeans());
  }

  /**
   * Empties it for a round.
   *
   * @param roundText the text
   * @param mostNodes most candidates
   * @param mostDepth most candidates one behind the other
   * @param ruleLength the stop rule's
   * @param passes what they cost
   * @param rate tokens in a nanosecond
   */
  void begin(
      Text roundText, int mostNodes, int mostDepth, int ruleLength, PassCosts passes, double rate) {
    text = roundText;
    most = Math.min(mostNodes, options.nodes());
    maxDepth = mostDepth;
    length = ruleLength;
    costs = passes;
    tokensPerNano = rate;
    source = 0;
    count = 0;
    chain = true;
    drawn = false;
    chosen = false;
    judged = 0;
    survival = 1;
    tokens[0] = roundText.last();
    children[0] = 0;
  }

  // ---- What is there ----

  /**
   * Candidates so far; they are nodes 1 .. count.
   *
   * @return the number
   */
  public int count() {
    return count;
  }

  /**
   * A candidate's token.
   *
   * @param node 0 .. count; node 0 is the text's last token
   * @return its id
   */
  public int token(int node) {
    return tokens[checked(node)];
  }

  /**
   * The node that a candidate stands behind.
   *
   * @param node 1 .. count
   * @return a smaller number
   */
  public int parent(int node) {
    return parents[checked(node)];
  }

  /**
   * A node's distance from node 0.
   *
   * @param node 0 .. count
   * @return the distance
   */
  public int depth(int node) {
    return depths[checked(node)];
  }

  /**
   * Whether another candidate after the last is wanted: there is room, the last does not end the
   * text, and the {@link StopRule} says so.
   *
   * @return whether to go on
   */
  public boolean wanted() {
    if (room() == 0 || depths[count] >= maxDepth) {
      return false;
    }
    return count == 0 || !sampling.ends(tokens[count]) && options.rule().more(view);
  }

  /**
   * Most candidates that can still be added.
   *
   * @return the number
   */
  public int room() {
    return most - count;
  }

  /**
   * Most candidates one behind the other that the text has room for.
   *
   * @return the largest depth
   */
  public int maxDepth() {
    return maxDepth;
  }

  // ---- What sources give ----

  /**
   * Where the draft's logits after the last node go.
   *
   * @return vocabulary floats, native
   */
  public MemorySegment logits() {
    return logits(count);
  }

  /**
   * Where the draft's logits after a node go; verification reads them, so they stay as they were
   * when its children were drawn.
   *
   * @param node 0 .. count
   * @return vocabulary floats, native
   */
  public MemorySegment logits(int node) {
    checked(node);
    if (logits == null) {
      long rowBytes = (long) vocabulary * Float.BYTES;
      logits = NativeMemory.allocate(rows.length * rowBytes, arena);
      if (logits == null) {
        throw new SylvesterException(
            Status.OUT_OF_MEMORY,
            "Draft.logits: the system has no " + rows.length * rowBytes + " bytes");
      }
      for (int i = 0; i < rows.length; i++) {
        rows[i] = logits.asSlice(i * rowBytes, rowBytes);
      }
    }
    return rows[node];
  }

  /**
   * The draft's hidden state after it has read the last candidate, which was drawn: judges that
   * candidate.
   *
   * @param hidden as the {@link AcceptancePredictor} wants it
   */
  public void hidden(MemorySegment hidden) {
    if (options.predictor() != null && drawn && judged < count) {
      judge(options.predictor().predict(hidden));
    }
  }

  private void judge(float prediction) {
    predictions[count] = prediction >= 0 && prediction <= 1 ? prediction : Float.NaN;
    survival *= predictions[count];
    judged = count;
  }

  /**
   * Draws the next candidate of a chain from {@link #logits()}, as the mode wants it: TOKEN and
   * BLOCK with random numbers of their own, EXACT with the target's, GREEDY the largest.
   *
   * @return the token
   */
  public int draw() {
    return tokens[draw(count)];
  }

  /**
   * Draws another child of a node from {@link #logits(int)}, independent of its siblings.
   *
   * @param parent 0 .. count
   * @return the new node
   */
  public int draw(int parent) {
    checked(parent);
    if (rows[parent] == null) {
      throw new IllegalStateException("Draft.draw: node " + parent + " has no logits");
    }
    checkRoom("Draft.draw", parent);
    checkMix("Draft.draw", chosen);
    int depth = depths[parent] + 1;
    int token = sampling.draw(rows[parent], this, parent, depth, children[parent]);
    drawn = true;
    float logProbability = sampling.logProbability();
    return push(parent, token, logProbability, Math.exp(logProbability));
  }

  /**
   * Adds a candidate after the last, chosen without chance.
   *
   * @param token its id
   * @param confidence what the source thinks of it, 0..1, to be compared with what its other
   *     candidates got; NaN: unknown
   * @return the new node
   */
  public int add(int token, double confidence) {
    return add(count, token, confidence);
  }

  /**
   * Adds a child to a node, chosen without chance.
   *
   * @param parent 0 .. count
   * @param token its id
   * @param confidence what the source thinks of it, 0..1; NaN: unknown
   * @return the new node
   */
  public int add(int parent, int token, double confidence) {
    checked(parent);
    if (token < 0 || token >= vocabulary) {
      throw new SylvesterException(
          Status.BAD_VALUE, "Draft.add: token is " + token + ", must be 0.." + (vocabulary - 1));
    }
    checkRoom("Draft.add", parent);
    checkMix("Draft.add", drawn);
    chosen = true;
    return push(parent, token, 0, confidence);
  }

  private int push(int parent, int token, float logProbability, double confidence) {
    chain &= parent == count;
    count++;
    lastAt = System.nanoTime();
    firstAt = count == 1 ? lastAt : firstAt;
    ranks[count] = children[parent]++;
    tokens[count] = token;
    parents[count] = parent;
    depths[count] = depths[parent] + 1;
    children[count] = 0;
    logQ[count] = logProbability;
    confidences[count] = confidence;
    predictions[count] = Float.NaN;
    if (chain && (options.predictor() == null || chosen)) {
      judge(sources[source].estimate(confidence));
    }
    return count;
  }

  private int checked(int node) {
    return Objects.checkIndex(node, count + 1);
  }

  private void checkRoom(String function, int parent) {
    if (count >= most || depths[parent] >= maxDepth) {
      throw new IllegalStateException(
          function
              + ": candidate "
              + (count + 1)
              + " of depth "
              + (depths[parent] + 1)
              + ", there is room for "
              + most
              + " of depth "
              + maxDepth);
    }
    if (parent != count && mode == SpecMode.BLOCK) {
      throw new SylvesterException(
          Status.UNSUPPORTED, function + ": BLOCK takes chains, the parent is " + parent);
    }
  }

  // Verification takes one kind of draft a text; where it asks for none, kinds do not matter.
  private void checkMix(String function, boolean other) {
    if (other && sampling.stochastic()) {
      throw new IllegalStateException(
          function + ": candidates of a round are all drawn or all chosen");
    }
  }

  // ---- For the round and for chains of sources ----

  /** Says which source of a chain proposes from now on. */
  void from(int index) {
    source = index;
  }

  int source() {
    return source;
  }

  /** Time from the first candidate to the last: without what the source had to read before. */
  long nanosAfterFirst() {
    return lastAt - firstAt;
  }

  Text text() {
    return text;
  }

  boolean chain() {
    return chain;
  }

  int[] tokens() {
    return tokens;
  }

  int[] parents() {
    return parents;
  }

  int children(int node) {
    return children[node];
  }

  /** How many siblings stand before a candidate. */
  int rank(int node) {
    return ranks[node];
  }

  float[] logQ() {
    return logQ;
  }

  /** The rows that candidates were drawn from; null if they were chosen. */
  MemorySegment drawnFrom() {
    return drawn ? logits : null;
  }

  double confidence(int node) {
    return confidences[node];
  }

  /** Whether a prediction was made for a candidate, which may have been none. */
  boolean predicted(int node) {
    return node <= judged;
  }

  float prediction(int node) {
    return predictions[node];
  }

  /** What is known of the source that proposed last. */
  SourceMeans sourceMeans() {
    return sources[source];
  }

  /** Writes the tokens from node 0 to a node behind the text; returns their number. */
  int path(int node, MemorySegment memory) {
    int behind = depths[node];
    for (int at = node; at > 0; at = parents[at]) {
      memory.setAtIndex(JAVA_INT, (long) text.length() + depths[at] - 1, tokens[at]);
    }
    return behind;
  }

  /** What the rule sees. */
  private final class View implements Progress {
    @Override
    public int count() {
      return count;
    }

    @Override
    public int position() {
      return text.length();
    }

    @Override
    public double confidence() {
      return confidences[count];
    }

    @Override
    public double entropy() {
      return drawn ? sampling.entropy(rows[parents[count]]) : Double.NaN;
    }

    @Override
    public double survival() {
      return survival;
    }

    @Override
    public int judged() {
      return judged;
    }

    @Override
    public int length() {
      return length;
    }

    @Override
    public RunningMeans means() {
      return new RunningMeans(
          sources[source].mean(), tokensPerNano, sources[source].nanosPerCandidate());
    }

    @Override
    public double passNanos(int passRows) {
      return costs.of(passRows);
    }
  }
}
