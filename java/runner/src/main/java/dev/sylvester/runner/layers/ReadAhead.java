package dev.sylvester.runner.layers;

import dev.sylvester.runner.format.ModelConfig;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Tokens that only the first layers have read so far: a draft of the model itself. A pass that
 * reads the same tokens goes on from the hidden states that are kept here.
 */
final class ReadAhead {
  private final long width;
  private final int[] tokens;
  private final MemorySegment hidden;
  private int layers;
  private int count;

  ReadAhead(ModelConfig config, int most, Arena arena) {
    this.width = (long) config.hiddenSize() * Float.BYTES;
    this.tokens = new int[most];
    this.hidden = arena.allocate(most * width, 64);
  }

  int most() {
    return tokens.length;
  }

  /** Layers that the tokens went through. */
  int layers() {
    return layers;
  }

  int count() {
    return count;
  }

  void clear() {
    count = 0;
  }

  /** Adds a token whose hidden state after so many layers stands in row 0. */
  void add(int token, int ofLayers, Scratch s) {
    layers = ofLayers;
    tokens[count] = token;
    MemorySegment.copy(s.hidden, 0, hidden, count++ * width, width);
  }

  /** How many of the tokens are these. */
  int common(int[] ids, int length) {
    int common = 0;
    while (common < Math.min(count, length) && ids[common] == tokens[common]) {
      common++;
    }
    return common;
  }

  /** Puts the hidden states of the first tokens before those of {@code rows} others. */
  void prepend(int known, int rows, Scratch s) {
    MemorySegment.copy(s.hidden, 0, s.hidden, known * width, rows * width);
    MemorySegment.copy(hidden, 0, s.hidden, 0, known * width);
  }
}
