package dev.sylvester.runner;

import java.lang.foreign.MemorySegment;

/** Takes logits of consecutive positions. */
@FunctionalInterface
public interface LogitsConsumer {
  /**
   * Called for ascending positions.
   *
   * @param first position of the first row
   * @param rows number of rows
   * @param logits rows of the vocabulary's size, back to back; valid during the call
   */
  void accept(int first, int rows, MemorySegment logits);
}
