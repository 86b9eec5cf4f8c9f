package dev.sylvester.runner.layers;

import dev.sylvester.kernels.KvMemory;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Keys and values of one text, in all layers. A pass appends the same tokens to one layer after the
 * other. Not thread-safe.
 */
interface TextCache extends Attention, AutoCloseable {
  /** Tokens that every layer holds. */
  int length();

  /**
   * Whether the first pass decides which of its tokens are kept exactly. It should be the whole
   * prompt then, and going back into it is of no use.
   */
  default boolean choosesSinks() {
    return false;
  }

  /** Appends rows of keys and values, which lie as in {@code s}, at positions from first on. */
  default void append(
      int layer, MemorySegment keys, MemorySegment values, Scratch s, int first, int rows) {
    throw new UnsupportedOperationException("this cache takes no tokens without queries");
  }

  /** Tokens that can be forgotten without more of them being lost. */
  default int reach() {
    return Integer.MAX_VALUE;
  }

  /**
   * Forgets all but the first {@code tokens}, and more where those cannot be had again: {@link
   * #length()} tells how many are left.
   */
  void truncate(int tokens);

  /** Another text that begins as this one does. */
  TextCache fork();

  /** What it takes up. */
  KvMemory memory();

  /**
   * Its bytes, for {@link TextCaches#loadText}.
   *
   * @throws UnsupportedOperationException when it is of floats
   */
  MemorySegment save(Arena arena);

  @Override
  void close();
}
