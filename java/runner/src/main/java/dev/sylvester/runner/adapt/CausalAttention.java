package dev.sylvester.runner.adapt;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/**
 * Softmax attention of whole texts and its gradient. Probabilities are computed again on the way
 * back, not kept. Rows lie back to back: queries and outputs have heads x dim floats, keys and
 * values kvHeads x dim.
 */
final class CausalAttention {
  private final int heads;
  private final int kvHeads;
  private final int dim;
  private final int window;
  private final float scale;

  /**
   * One layer's.
   *
   * @param window tokens that a query sees, itself included; 0: all up to it
   */
  CausalAttention(int heads, int kvHeads, int dim, int window) {
    this.heads = heads;
    this.kvHeads = kvHeads;
    this.dim = dim;
    this.window = window;
    this.scale = (float) (1 / Math.sqrt(dim));
  }

  /** Rows {@code first} and on, one text of so many tokens. */
  void forward(
      MemorySegment q, MemorySegment k, MemorySegment v, MemorySegment y, int first, int tokens) {
    float[] p = new float[tokens];
    float[] output = new float[dim];
    for (int group = 0; group < kvHeads; group++) {
      float[] keys = columns(head(k, kvHeads, group, first, tokens), tokens);
      float[] values = head(v, kvHeads, group, first, tokens);
      for (int h = group * heads / kvHeads; h < (group + 1) * heads / kvHeads; h++) {
        float[] queries = head(q, heads, h, first, tokens);
        for (int i = 0; i < tokens; i++) {
          int from = from(i);
          probabilities(queries, keys, tokens, i, from, p);
          Arrays.fill(output, 0);
          for (int j = from; j <= i; j++) {
            add(p[j], values, j * dim, output, 0, dim);
          }
          long at = ((long) (first + i) * heads + h) * dim;
          MemorySegment.copy(output, 0, y, JAVA_FLOAT, at * Float.BYTES, dim);
        }
      }
    }
  }

  /** Stores the gradients of queries, keys and values from g, that of the outputs. */
  void backward(
      MemorySegment q,
      MemorySegment k,
      MemorySegment v,
      MemorySegment g,
      MemorySegment dq,
      MemorySegment dk,
      MemorySegment dv,
      int first,
      int tokens) {
    float[] p = new float[tokens];
    float[] dp = new float[tokens];
    for (int group = 0; group < kvHeads; group++) {
      float[] keys = head(k, kvHeads, group, first, tokens);
      float[] keyColumns = columns(keys, tokens);
      float[] valueColumns = columns(head(v, kvHeads, group, first, tokens), tokens);
      float[] dKeys = new float[tokens * dim];
      float[] dValues = new float[tokens * dim];
      for (int h = group * heads / kvHeads; h < (group + 1) * heads / kvHeads; h++) {
        float[] queries = head(q, heads, h, first, tokens);
        float[] gradients = head(g, heads, h, first, tokens);
        float[] dQueries = new float[tokens * dim];
        for (int i = 0; i < tokens; i++) {
          int from = from(i);
          probabilities(queries, keyColumns, tokens, i, from, p);
          products(gradients, valueColumns, tokens, i, from, dp);
          double mean = 0;
          for (int j = from; j <= i; j++) {
            mean += (double) p[j] * dp[j];
          }
          for (int j = from; j <= i; j++) {
            add(p[j], gradients, i * dim, dValues, j * dim, dim);
            float slope = (float) (scale * p[j] * (dp[j] - mean));
            add(slope, keys, j * dim, dQueries, i * dim, dim);
            add(slope, queries, i * dim, dKeys, j * dim, dim);
          }
        }
        put(dQueries, dq, heads, h, first, tokens);
      }
      put(dKeys, dk, kvHeads, group, first, tokens);
      put(dValues, dv, kvHeads, group, first, tokens);
    }
  }

  private int from(int i) {
    return window == 0 ? 0 : Math.max(0, i - window + 1);
  }

  /** {@code p[from..i]}: what row i sees. */
  private void probabilities(
      float[] queries, float[] keyColumns, int tokens, int i, int from, float[] p) {
    products(queries, keyColumns, tokens, i, from, p);
    float most = Float.NEGATIVE_INFINITY;
    for (int j = from; j <= i; j++) {
      most = Math.max(most, p[j]);
    }
    double sum = 0;
    for (int j = from; j <= i; j++) {
      p[j] = (float) Math.exp(scale * (p[j] - most));
      sum += p[j];
    }
    float share = (float) (1 / sum);
    for (int j = from; j <= i; j++) {
      p[j] *= share;
    }
  }

  /** {@code y[from..i]}: products of row i with the columns. */
  private void products(float[] rows, float[] columns, int tokens, int i, int from, float[] y) {
    Arrays.fill(y, from, i + 1, 0);
    for (int d = 0; d < dim; d++) {
      add(rows[i * dim + d], columns, d * tokens + from, y, from, i + 1 - from);
    }
  }

  /** Of this form so that the compiler makes vectors of it. */
  private static void add(float a, float[] x, int xFirst, float[] y, int yFirst, int count) {
    for (int i = 0; i < count; i++) {
      y[yFirst + i] += a * x[xFirst + i];
    }
  }

  private float[] head(MemorySegment rows, int count, int head, int first, int tokens) {
    float[] copy = new float[tokens * dim];
    for (int i = 0; i < tokens; i++) {
      long at = ((long) (first + i) * count + head) * dim;
      MemorySegment.copy(rows, JAVA_FLOAT, at * Float.BYTES, copy, i * dim, dim);
    }
    return copy;
  }

  private void put(float[] values, MemorySegment rows, int count, int head, int first, int tokens) {
    for (int i = 0; i < tokens; i++) {
      long at = ((long) (first + i) * count + head) * dim;
      MemorySegment.copy(values, i * dim, rows, JAVA_FLOAT, at * Float.BYTES, dim);
    }
  }

  private float[] columns(float[] rows, int tokens) {
    float[] columns = new float[rows.length];
    for (int i = 0; i < tokens; i++) {
      for (int d = 0; d < dim; d++) {
        columns[d * tokens + i] = rows[i * dim + d];
      }
    }
    return columns;
  }
}
