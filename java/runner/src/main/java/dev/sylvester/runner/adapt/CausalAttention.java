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
    for (int group = 0; group < kvHeads; group++) {
      float[][] keyColumns = transposed(head(k, kvHeads, group, first, tokens));
      float[][] values = head(v, kvHeads, group, first, tokens);
      for (int h = group * heads / kvHeads; h < (group + 1) * heads / kvHeads; h++) {
        float[][] queries = head(q, heads, h, first, tokens);
        float[][] outputs = new float[tokens][dim];
        for (int i = 0; i < tokens; i++) {
          probabilities(queries[i], keyColumns, from(i), i + 1, p);
          addRows(p, values, from(i), i + 1, outputs[i], 0, dim);
        }
        put(outputs, y, heads, h, first);
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
    float[][] p = new float[tokens][tokens];
    float[][] slopes = new float[tokens][tokens];
    for (int group = 0; group < kvHeads; group++) {
      float[][] keys = head(k, kvHeads, group, first, tokens);
      float[][] keyColumns = transposed(keys);
      float[][] valueColumns = transposed(head(v, kvHeads, group, first, tokens));
      float[][] dKeys = new float[tokens][dim];
      float[][] dValues = new float[tokens][dim];
      for (int h = group * heads / kvHeads; h < (group + 1) * heads / kvHeads; h++) {
        float[][] queries = head(q, heads, h, first, tokens);
        float[][] gradients = head(g, heads, h, first, tokens);
        float[][] dQueries = new float[tokens][dim];
        for (int i = 0; i < tokens; i++) {
          probabilities(queries[i], keyColumns, from(i), i + 1, p[i]);
          slopes(gradients[i], valueColumns, from(i), i + 1, p[i], slopes[i]);
          addRows(slopes[i], keys, from(i), i + 1, dQueries[i], 0, dim);
        }
        float[][] pColumns = transposed(p);
        float[][] slopeColumns = transposed(slopes);
        for (int j = 0; j < tokens; j++) {
          int end = window == 0 ? tokens : Math.min(tokens, j + window);
          addRows(pColumns[j], gradients, j, end, dValues[j], 0, dim);
          addRows(slopeColumns[j], queries, j, end, dKeys[j], 0, dim);
        }
        put(dQueries, dq, heads, h, first);
      }
      put(dKeys, dk, kvHeads, group, first);
      put(dValues, dv, kvHeads, group, first);
    }
  }

  /** The first token that a row sees. */
  private int from(int row) {
    return window == 0 ? 0 : Math.max(0, row - window + 1);
  }

  /** {@code p[from..end - 1] = softmax(scale query K)}. */
  private void probabilities(float[] query, float[][] keyColumns, int from, int end, float[] p) {
    Arrays.fill(p, from, end, 0);
    addRows(query, keyColumns, 0, dim, p, from, end);
    float most = Float.NEGATIVE_INFINITY;
    for (int j = from; j < end; j++) {
      most = Math.max(most, p[j]);
    }
    double sum = 0;
    for (int j = from; j < end; j++) {
      p[j] = (float) Math.exp(scale * (p[j] - most));
      sum += p[j];
    }
    float share = (float) (1 / sum);
    for (int j = from; j < end; j++) {
      p[j] *= share;
    }
  }

  /** Gradients of query K: {@code scale p (g V - sum p g V)}. */
  private void slopes(
      float[] gradient, float[][] valueColumns, int from, int end, float[] p, float[] slopes) {
    Arrays.fill(slopes, from, end, 0);
    addRows(gradient, valueColumns, 0, dim, slopes, from, end);
    double mean = 0;
    for (int j = from; j < end; j++) {
      mean += (double) p[j] * slopes[j];
    }
    for (int j = from; j < end; j++) {
      slopes[j] = (float) (scale * p[j] * (slopes[j] - mean));
    }
  }

  /**
   * {@code y[i] += sum of a[k] rows[k][i]} for {@code first <= k < last} and {@code from <= i <
   * end}. Eight rows at a time, all with one index, so that the compiler makes vectors of it.
   */
  private static void addRows(
      float[] a, float[][] rows, int first, int last, float[] y, int from, int end) {
    int k = first;
    for (; k + 8 <= last; k += 8) {
      float a0 = a[k];
      float a1 = a[k + 1];
      float a2 = a[k + 2];
      float a3 = a[k + 3];
      float a4 = a[k + 4];
      float a5 = a[k + 5];
      float a6 = a[k + 6];
      float a7 = a[k + 7];
      float[] x0 = rows[k];
      float[] x1 = rows[k + 1];
      float[] x2 = rows[k + 2];
      float[] x3 = rows[k + 3];
      float[] x4 = rows[k + 4];
      float[] x5 = rows[k + 5];
      float[] x6 = rows[k + 6];
      float[] x7 = rows[k + 7];
      for (int i = from; i < end; i++) {
        y[i] +=
            (a0 * x0[i] + a1 * x1[i] + a2 * x2[i] + a3 * x3[i])
                + (a4 * x4[i] + a5 * x5[i] + a6 * x6[i] + a7 * x7[i]);
      }
    }
    for (; k < last; k++) {
      float factor = a[k];
      float[] x = rows[k];
      for (int i = from; i < end; i++) {
        y[i] += factor * x[i];
      }
    }
  }

  private float[][] head(MemorySegment rows, int count, int head, int first, int tokens) {
    float[][] copy = new float[tokens][dim];
    for (int i = 0; i < tokens; i++) {
      long at = ((long) (first + i) * count + head) * dim;
      MemorySegment.copy(rows, JAVA_FLOAT, at * Float.BYTES, copy[i], 0, dim);
    }
    return copy;
  }

  private void put(float[][] values, MemorySegment rows, int count, int head, int first) {
    for (int i = 0; i < values.length; i++) {
      long at = ((long) (first + i) * count + head) * dim;
      MemorySegment.copy(values[i], 0, rows, JAVA_FLOAT, at * Float.BYTES, dim);
    }
  }

  private static float[][] transposed(float[][] rows) {
    float[][] columns = new float[rows[0].length][rows.length];
    for (int i = 0; i < rows.length; i++) {
      for (int j = 0; j < columns.length; j++) {
        columns[j][i] = rows[i][j];
      }
    }
    return columns;
  }
}
