package dev.sylvester.kernels.spec;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Objects;

/** A text that grows: token ids in native memory. */
public final class Text {
  private MemorySegment tokens;
  private int length;

  /**
   * A text.
   *
   * @param tokens its first tokens
   */
  public Text(int... tokens) {
    this.tokens = allocate(Math.max(64, tokens.length));
    append(tokens, 0, tokens.length);
  }

  /**
   * Number of tokens.
   *
   * @return the number
   */
  public int length() {
    return length;
  }

  /**
   * A token.
   *
   * @param index 0 .. length - 1
   * @return its id
   */
  public int get(int index) {
    return tokens.getAtIndex(JAVA_INT, Objects.checkIndex(index, length));
  }

  /**
   * The last token.
   *
   * @return its id
   */
  public int last() {
    return get(length - 1);
  }

  /**
   * Appends a token.
   *
   * @param token its id
   */
  public void append(int token) {
    reserve(1);
    tokens.setAtIndex(JAVA_INT, length++, token);
  }

  /**
   * Appends tokens.
   *
   * @param source ids
   * @param from the first
   * @param to one past the last
   */
  public void append(int[] source, int from, int to) {
    Objects.checkFromToIndex(from, to, source.length);
    reserve(to - from);
    MemorySegment.copy(source, from, tokens, JAVA_INT, (long) length * Integer.BYTES, to - from);
    length += to - from;
  }

  /**
   * Forgets all tokens but the first.
   *
   * @param newLength how many stay
   */
  public void truncate(int newLength) {
    length = Objects.checkIndex(newLength, length + 1);
  }

  /**
   * How many tokens two texts have in common at their beginning.
   *
   * @param other another text
   * @return the number
   */
  public int commonPrefix(Text other) {
    int most = Math.min(length, other.length);
    long bytes = (long) most * Integer.BYTES;
    long difference = MemorySegment.mismatch(tokens, 0, bytes, other.tokens, 0, bytes);
    return difference < 0 ? most : (int) (difference / Integer.BYTES);
  }

  /**
   * Makes this text equal to another, where they already are at their beginning.
   *
   * @param other another text
   * @param common their common prefix
   */
  public void follow(Text other, int common) {
    truncate(common);
    reserve(other.length - common);
    long from = (long) common * Integer.BYTES;
    MemorySegment.copy(
        other.tokens, from, tokens, from, (long) (other.length - common) * Integer.BYTES);
    length = other.length;
  }

  /**
   * The tokens.
   *
   * @return a copy
   */
  public int[] toArray() {
    return tokens.asSlice(0, (long) length * Integer.BYTES).toArray(JAVA_INT);
  }

  /** Ids, and behind them room for more; of another place after the text has grown. */
  MemorySegment memory(int room) {
    reserve(room);
    return tokens;
  }

  private void reserve(int more) {
    long needed = (long) length + more;
    long capacity = tokens.byteSize() / Integer.BYTES;
    if (needed > capacity) {
      tokens = allocate(Math.max(needed, 2 * capacity)).copyFrom(tokens);
    }
  }

  private static MemorySegment allocate(long capacity) {
    return Arena.ofAuto().allocate(JAVA_INT, capacity);
  }
}
