package dev.sylvester.runner.layers;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import dev.sylvester.kernels.KronFactors;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * What an adapter adds to rows of the embedding: {@code scale sum_k u[k][token] v[k]}.
 *
 * @param u terms x vocabulary
 * @param v terms x width
 * @param terms rank
 * @param vocabulary tokens
 * @param width of a row
 * @param scale factor on the sum
 */
record EmbeddingChange(
    MemorySegment u, MemorySegment v, int terms, long vocabulary, long width, float scale) {
  /**
   * A change that owns its memory.
   *
   * @param factors a LoRA of vocabulary x width
   */
  static EmbeddingChange of(KronFactors factors, float scale, Arena arena) {
    return new EmbeddingChange(
        arena.allocate(factors.u().byteSize(), 64).copyFrom(factors.u()),
        arena.allocate(factors.v().byteSize(), 64).copyFrom(factors.v()),
        (int) factors.terms(),
        factors.shape().out(),
        factors.shape().in(),
        scale);
  }

  EmbeddingChange scaled(float factor) {
    return new EmbeddingChange(u, v, terms, vocabulary, width, factor * scale);
  }

  long bytes() {
    return u.byteSize() + v.byteSize();
  }

  /** Adds to a row of the matrix of hidden states that begins with the token's embedding. */
  void addTo(MemorySegment hidden, int row, int token) {
    for (long j = 0; j < width; j++) {
      float sum = 0;
      for (int k = 0; k < terms; k++) {
        sum =
            Math.fma(
                u.getAtIndex(JAVA_FLOAT, k * vocabulary + token),
                v.getAtIndex(JAVA_FLOAT, k * width + j),
                sum);
      }
      long at = row * width + j;
      hidden.setAtIndex(JAVA_FLOAT, at, Math.fma(scale, sum, hidden.getAtIndex(JAVA_FLOAT, at)));
    }
  }
}
