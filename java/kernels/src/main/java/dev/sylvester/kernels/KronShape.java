package dev.sylvester.kernels;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.sylvester.kernels.ffi.SylvesterFfi;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Sizes of the factors of {@code delta = sum_k U_k (x) V_k}: {@code out = m p} rows, {@code in = n
 * q} columns.
 *
 * @param m rows of U
 * @param n columns of U
 * @param p rows of V
 * @param q columns of V
 */
public record KronShape(long m, long n, long p, long q) {
  /**
   * As PEFT's LoKr cuts a layer's weights: both dimensions by {@link #factorize}, the smaller parts
   * to U.
   *
   * @param out outputs of the layer
   * @param in inputs of the layer
   * @param factor bound of the smaller parts; -1: as balanced as can be
   * @return the shape
   */
  public static KronShape factored(long out, long in, long factor) {
    long[] rows = factorize(out, factor);
    long[] columns = factorize(in, factor);
    return new KronShape(rows[0], columns[0], rows[1], columns[1]);
  }

  /**
   * The shape in which a sum of Kronecker products is a LoRA: U_k is column k of B, V_k row k of A.
   *
   * @param out outputs of the layer
   * @param in inputs of the layer
   * @return the shape
   */
  public static KronShape lora(long out, long in) {
    return new KronShape(out, 1, 1, in);
  }

  /**
   * Cuts a dimension in two, by PEFT's rule: at {@code factor} where that divides it, otherwise
   * into the most balanced pair whose smaller part is at most {@code factor}.
   *
   * @param dimension at least 1
   * @param factor at least 1; -1: no bound
   * @return both parts
   */
  public static long[] factorize(long dimension, long factor) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment parts = arena.allocate(JAVA_LONG, 2);
      SylvesterException.check(
          SylvesterFfi.syl_kron_factorize(dimension, factor, parts, parts.asSlice(Long.BYTES)));
      return parts.toArray(JAVA_LONG);
    }
  }

  /**
   * Rows of the matrix.
   *
   * @return m p
   */
  public long out() {
    return Math.multiplyExact(m, p);
  }

  /**
   * Columns of the matrix.
   *
   * @return n q
   */
  public long in() {
    return Math.multiplyExact(n, q);
  }
}
