package dev.sylvester.kernels.spec;

import java.lang.foreign.MemorySegment;

/** What {@link Speculation} needs of the engine whose text it continues. */
public interface TargetModel {
  /**
   * Number of tokens of the vocabulary.
   *
   * @return columns of a row of logits
   */
  int vocabulary();

  /**
   * Most tokens of a text.
   *
   * @return the number
   */
  int context();

  /**
   * Tokens read so far.
   *
   * @return the number
   */
  int position();

  /**
   * Most tokens that one {@link #read} takes and {@link #truncate} can take back exactly.
   *
   * @return at least 1
   */
  default int maxRows() {
    return 256;
  }

  /**
   * Reads tokens after the text so far. Row i of the result predicts what comes after tokens[i];
   * its bits do not depend on the other rows.
   *
   * <p>Without parents the tokens follow each other and {@link #position} grows by count. With
   * parents they are a tree: token i stands behind the text, the tokens on its way from node 0, and
   * nothing else; {@link #position} stays until {@link #keep}, which comes next.
   *
   * @param tokens node 0 is the text's last token, the others are candidates
   * @param parents of each node but 0 the node before it, which has a smaller number; null: a chain
   * @param count number of tokens, 1..maxRows
   * @return count rows of logits, native memory, valid until the next call
   */
  MemorySegment read(int[] tokens, int[] parents, int count);

  /**
   * Floats from one row of logits to the next.
   *
   * @return at least the vocabulary
   */
  default long stride() {
    return vocabulary();
  }

  /**
   * Forgets all tokens but the first.
   *
   * @param length how many stay, at most position
   */
  void truncate(int length);

  /**
   * Keeps some nodes of the tree read last and forgets the others; {@link #position} grows by
   * count.
   *
   * @param path the nodes, each the parent of the next, from node 0 on
   * @param count how many; 0: none
   * @throws UnsupportedOperationException when the engine reads chains only
   */
  default void keep(int[] path, int count) {
    throw new UnsupportedOperationException("this model reads no trees");
  }
}
