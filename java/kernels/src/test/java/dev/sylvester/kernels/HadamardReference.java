package dev.sylvester.kernels;

import java.util.Arrays;

/** What a plan computes, in double with plain loops: see {@code sylvester/hadamard.h}. */
final class HadamardReference {
  /** The families' matrices, row i and column j. */
  interface Entries {
    double at(int i, int j);
  }

  private final int n;
  private final double scale;
  private final Entries[] h; // of each round
  private final double[][] signs; // D_0..D_rounds
  private int[] gather;
  private int xLength;

  HadamardReference(int n, double scale, Entries... h) {
    this.n = n;
    this.scale = scale;
    this.h = h;
    this.xLength = n;
    this.signs = new double[h.length + 1][n];
    for (double[] row : signs) {
      Arrays.fill(row, 1);
    }
  }

  static double sylvester(int i, int j) {
    return Integer.bitCount(i & j) % 2 == 0 ? 1 : -1;
  }

  /** The Kronecker power of the matrix with -1 on the antidiagonal. */
  static double regular(int i, int j) {
    double product = 1;
    for (int digit = 0; digit < 12; digit++) {
      product *= (i >> 2 * digit & 3) + (j >> 2 * digit & 3) == 3 ? -1 : 1;
    }
    return product;
  }

  static Entries blocks(int size) {
    return (i, j) -> i / size == j / size ? sylvester(i % size, j % size) : 0;
  }

  /** H_w on elements start..start + w - 1; the others keep their value, whatever the scale. */
  static Entries window(int start, int w, double scale) {
    return (i, j) -> {
      boolean inside = i >= start && i < start + w && j >= start && j < start + w;
      return inside ? sylvester(i - start, j - start) : i == j ? 1 / scale : 0;
    };
  }

  HadamardReference signs(int[] bits, int rows, int row) {
    int words = Math.ceilDiv(n, 32);
    for (int r = 0; r < signs.length; r++) {
      for (int e = 0; e < n; e++) {
        int word = bits[(r * rows + row) * words + e / 32];
        signs[r][e] = (word >> e % 32 & 1) == 1 ? -1 : 1;
      }
    }
    return this;
  }

  HadamardReference gather(int[] indices, int length) {
    gather = indices;
    xLength = length;
    return this;
  }

  double[] apply(double[] x) {
    double[] z = new double[n];
    for (int e = 0; e < n; e++) {
      int from = gather == null ? e : gather[e];
      z[e] = from < 0 ? 0 : x[from];
    }
    sign(z, 0);
    for (int r = 0; r < h.length; r++) {
      z = multiply(h[r], z, false);
      sign(z, r + 1);
    }
    return z;
  }

  double[] applyTransposed(double[] y) {
    double[] z = y.clone();
    for (int r = h.length - 1; r >= 0; r--) {
      sign(z, r + 1);
      z = multiply(h[r], z, true);
    }
    sign(z, 0);
    double[] x = new double[xLength];
    for (int e = 0; e < n; e++) {
      int to = gather == null ? e : gather[e];
      if (to >= 0) {
        x[to] = z[e];
      }
    }
    return x;
  }

  private void sign(double[] z, int round) {
    for (int e = 0; e < n; e++) {
      z[e] *= signs[round][e];
    }
  }

  private double[] multiply(Entries entries, double[] z, boolean transposed) {
    double[] product = new double[n];
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < n; j++) {
        product[i] += scale * (transposed ? entries.at(j, i) : entries.at(i, j)) * z[j];
      }
    }
    return product;
  }

  /**
   * Bound of the error of a plan's result. After one round it is that of the header. The error of a
   * round has a 2-norm of at most sqrt(n) times the bound of its elements, and later rounds, being
   * orthogonal, keep it; in all rounds sum|z| is at most sqrt(n) |x|.
   */
  double bound(Hadamard plan, double[] x) {
    double sum = 0;
    double squares = 0;
    for (double value : x) {
      sum += Math.abs(value);
      squares += value * value;
    }
    double step = plan.info().errorSteps() * TestData.EPS * Math.abs(scale);
    return h.length == 1 ? step * sum : h.length * step * n * Math.sqrt(squares);
  }
}
