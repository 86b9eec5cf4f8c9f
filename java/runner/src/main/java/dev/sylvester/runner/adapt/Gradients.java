package dev.sylvester.runner.adapt;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import java.lang.foreign.MemorySegment;

/** Gradients of what lies between linear layers. Rows lie back to back. */
final class Gradients {
  private Gradients() {}

  /**
   * Of {@code y = x r w, r = 1 / sqrt(mean x^2 + eps)}: adds {@code r (w g - x r^2 mean(w g x))} to
   * dx.
   */
  static void addRmsNorm(
      MemorySegment x,
      MemorySegment weight,
      double eps,
      long rows,
      int cols,
      MemorySegment g,
      MemorySegment dx) {
    float[] w = weight.toArray(JAVA_FLOAT);
    float[] input = new float[cols];
    float[] weighted = new float[cols];
    for (long row = 0; row < rows; row++) {
      long at = row * cols;
      MemorySegment.copy(x, JAVA_FLOAT, at * Float.BYTES, input, 0, cols);
      MemorySegment.copy(g, JAVA_FLOAT, at * Float.BYTES, weighted, 0, cols);
      double squares = 0;
      double product = 0;
      for (int i = 0; i < cols; i++) {
        weighted[i] *= w[i];
        squares += (double) input[i] * input[i];
        product += (double) weighted[i] * input[i];
      }
      double r = 1 / Math.sqrt(squares / cols + eps);
      double pull = r * r * product / cols;
      for (int i = 0; i < cols; i++) {
        float change = (float) (r * (weighted[i] - pull * input[i]));
        dx.setAtIndex(JAVA_FLOAT, at + i, dx.getAtIndex(JAVA_FLOAT, at + i) + change);
      }
    }
  }

  /** Of {@code y = silu(gate) up}. */
  static void swiGlu(
      MemorySegment gate,
      MemorySegment up,
      MemorySegment g,
      long count,
      MemorySegment dGate,
      MemorySegment dUp) {
    for (long i = 0; i < count; i++) {
      double z = gate.getAtIndex(JAVA_FLOAT, i);
      double gradient = g.getAtIndex(JAVA_FLOAT, i);
      double sigmoid = 1 / (1 + Math.exp(-z));
      double slope = sigmoid * (1 + z * (1 - sigmoid));
      dUp.setAtIndex(JAVA_FLOAT, i, (float) (gradient * z * sigmoid));
      dGate.setAtIndex(JAVA_FLOAT, i, (float) (gradient * up.getAtIndex(JAVA_FLOAT, i) * slope));
    }
  }

  /**
   * Negative log-likelihood of a token; its logits become {@code softmax - (1 at the token)}, the
   * gradient.
   */
  static double likelihood(MemorySegment logits, float[] row, int token) {
    int size = row.length;
    MemorySegment.copy(logits, JAVA_FLOAT, 0, row, 0, size);
    float most = row[0];
    for (int i = 1; i < size; i++) {
      most = Math.max(most, row[i]);
    }
    float score = row[token] - most;
    double sum = 0;
    for (int i = 0; i < size; i++) {
      row[i] = (float) Math.exp(row[i] - most);
      sum += row[i];
    }
    for (int i = 0; i < size; i++) {
      row[i] = (float) (row[i] / sum);
    }
    row[token] -= 1;
    MemorySegment.copy(row, 0, logits, JAVA_FLOAT, 0, size);
    return Math.log(sum) - score;
  }
}
