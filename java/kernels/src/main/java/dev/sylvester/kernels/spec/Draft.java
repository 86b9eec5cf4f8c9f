package dev.sylvester.kernels.spec;

import java.lang.foreign.MemorySegment;

/**
 * Where a {@link DraftSource} puts its candidates: a tree of nodes, of which node 0 is the text so
 * far. Candidates stay once they are here: to drop one for what it is would change the law of the
 * text.
 */
public final class Draft {
  Draft() {}

  /**
   * Candidates so far; they are nodes 1 .. count.
   *
   * @return the number
   */
  public int count() {
    throw new UnsupportedOperationException();
  }

  /**
   * A candidate's token.
   *
   * @param node 1 .. count
   * @return its id
   */
  public int token(int node) {
    throw new UnsupportedOperationException();
  }

  /**
   * The node that a candidate stands behind.
   *
   * @param node 1 .. count
   * @return a smaller number
   */
  public int parent(int node) {
    throw new UnsupportedOperationException();
  }

  /**
   * A node's distance from node 0.
   *
   * @param node 0 .. count
   * @return the distance
   */
  public int depth(int node) {
    throw new UnsupportedOperationException();
  }

  /**
   * Whether another candidate after the last is wanted: there is room, the last does not end the
   * text, and the {@link StopRule} says so.
   *
   * @return whether to go on
   */
  public boolean wanted() {
    throw new UnsupportedOperationException();
  }

  /**
   * Most candidates that can still be added.
   *
   * @return the number
   */
  public int room() {
    throw new UnsupportedOperationException();
  }

  /**
   * Most candidates one behind the other that the text has room for.
   *
   * @return the largest depth
   */
  public int maxDepth() {
    throw new UnsupportedOperationException();
  }

  /**
   * Where the draft's logits after the last node go.
   *
   * @return vocabulary floats, native
   */
  public MemorySegment logits() {
    return logits(count());
  }

  /**
   * Where the draft's logits after a node go.
   *
   * @param node 0 .. count
   * @return vocabulary floats, native
   */
  public MemorySegment logits(int node) {
    throw new UnsupportedOperationException();
  }

  /**
   * The draft's hidden state after it has read the last candidate: judges that candidate.
   *
   * @param hidden as the {@link AcceptancePredictor} wants it
   */
  public void hidden(MemorySegment hidden) {
    throw new UnsupportedOperationException();
  }

  /**
   * Draws the next candidate of a chain from {@link #logits()}, as the mode wants it: TOKEN and
   * BLOCK with random numbers of their own, EXACT with the target's, GREEDY the largest.
   *
   * @return the token
   */
  public int draw() {
    return token(draw(count()));
  }

  /**
   * Draws another child of a node from {@link #logits(int)}, independent of its siblings.
   *
   * @param parent 0 .. count
   * @return the new node
   */
  public int draw(int parent) {
    throw new UnsupportedOperationException();
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
    return add(count(), token, confidence);
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
    throw new UnsupportedOperationException();
  }
}
