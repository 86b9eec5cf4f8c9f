package dev.sylvester.runner.diffusion;

import java.util.Arrays;
import java.util.function.DoubleUnaryOperator;

/**
 * The released loops of LLaDA, Dream and Fast-dLLM, written down once more in plain loops over the
 * whole canvas, every number rounded as the caller wants it. Ties go to the lower position and the
 * lower token.
 */
final class ReferenceLoops {
  /** Logits of every row of a canvas. */
  interface Network {
    float[] row(int[] tokens, int row);
  }

  /** Uniform numbers by step and position. */
  interface Uniforms {
    double at(int step, int position);
  }

  private final Network network;
  private final boolean shift;
  private final int mask;
  private final DoubleUnaryOperator round;
  final int[] x;
  final int[] when;
  int passes;
  int stopStep = -1;

  /** In 64-bit floats. */
  ReferenceLoops(Network network, boolean shift, int mask, int[] tokens) {
    this(network, shift, mask, tokens, value -> value);
  }

  ReferenceLoops(
      Network network, boolean shift, int mask, int[] tokens, DoubleUnaryOperator round) {
    this.network = network;
    this.shift = shift;
    this.mask = mask;
    this.round = round;
    this.x = tokens.clone();
    this.when = new int[tokens.length];
    Arrays.fill(when, -1);
  }

  /** The nearest of the numbers with 8 significant bits, from a float. */
  static double toBfloat16(double value) {
    double step = Math.ulp((float) value) * 65536.0;
    return Double.isInfinite(value) ? value : Math.rint((float) value / step) * step;
  }

  private double round(double value) {
    return round.applyAsDouble(value);
  }

  private double[][] forward(int[] tokens) {
    double[][] z = new double[tokens.length][];
    for (int p = 0; p < z.length; p++) {
      int row = shift && p > 0 ? p - 1 : p;
      float[] f = network.row(tokens, row);
      z[p] = new double[f.length];
      for (int v = 0; v < f.length; v++) {
        z[p][v] = round(f[v]);
      }
    }
    return z;
  }

  private double[] softmax(double[] z) {
    double max = Double.NEGATIVE_INFINITY;
    for (double value : z) {
      max = Math.max(max, value);
    }
    double sum = 0;
    double[] p = new double[z.length];
    for (int v = 0; v < z.length; v++) {
      p[v] = Math.exp(z[v] - max);
      sum += p[v];
    }
    for (int v = 0; v < z.length; v++) {
      p[v] = round(p[v] / sum);
    }
    return p;
  }

  private static int argmax(double[] z) {
    int best = 0;
    for (int v = 1; v < z.length; v++) {
      if (z[v] > z[best]) {
        best = v;
      }
    }
    return best;
  }

  private static double[] twoLargest(double[] values) {
    double[] sorted = values.clone();
    Arrays.sort(sorted);
    return new double[] {sorted[sorted.length - 1], sorted[sorted.length - 2]};
  }

  private int countMasks(int from, int to) {
    int n = 0;
    for (int p = from; p < to; p++) {
      if (x[p] == mask) {
        n++;
      }
    }
    return n;
  }

  /** Positions by falling score, lower positions first among equals; scores of -inf left out. */
  private static Integer[] topk(double[] score) {
    return java.util.stream.IntStream.range(0, score.length)
        .filter(p -> score[p] != Double.NEGATIVE_INFINITY)
        .boxed()
        .sorted((a, b) -> score[a] != score[b] ? Double.compare(score[b], score[a]) : a - b)
        .toArray(Integer[]::new);
  }

  private void put(int p, int token, int step) {
    x[p] = token;
    if (token != mask) {
      when[p] = step;
    }
  }

  /** Prophet's check: mean raw gap of a region against staged thresholds. */
  record ProphetCheck(int from, int to, double high, double middle, double low) {
    boolean fires(double[][] z, double progress, DoubleUnaryOperator round) {
      double sum = 0;
      for (int p = from; p < to; p++) {
        double[] two = twoLargest(z[p]);
        sum += round.applyAsDouble(two[0] - two[1]);
      }
      double threshold = progress < 0.33 ? high : progress < 0.67 ? middle : low;
      return sum / (to - from) >= threshold;
    }
  }

  private boolean prophet(ProphetCheck check, double[][] z, double progress, int step) {
    if (check == null || !check.fires(z, progress, round)) {
      return false;
    }
    for (int p = 0; p < x.length; p++) {
      if (x[p] == mask) {
        put(p, argmax(z[p]), step);
      }
    }
    stopStep = step;
    return true;
  }

  /** LLaDA's generate.py with temperature 0. */
  void llada(
      int prompt,
      int block,
      int steps,
      String remasking,
      double cfg,
      int eosInf,
      int[] confidenceInf,
      Uniforms uniforms,
      ProphetCheck check) {
    int blocks = (x.length - prompt) / block;
    int perBlock = steps / blocks;
    boolean[] known = new boolean[x.length];
    for (int p = 0; p < x.length; p++) {
      known[p] = x[p] != mask;
    }
    for (int b = 0; b < blocks; b++) {
      int start = prompt + b * block;
      int end = start + block;
      int n = countMasks(start, end);
      int[] k = new int[perBlock];
      Arrays.fill(k, n / perBlock);
      for (int i = 0; i < n % perBlock; i++) {
        k[i]++;
      }
      for (int i = 0; i < perBlock; i++) {
        int step = b * perBlock + i;
        if (k[i] == 0) {
          continue; // the released loop computes here what it does not use
        }
        double[][] z = forward(x);
        passes++;
        if (cfg > 0) {
          int[] other = x.clone();
          for (int p = 0; p < other.length; p++) {
            if (known[p]) {
              other[p] = mask;
            }
          }
          double[][] u = forward(other);
          passes++;
          for (int p = 0; p < z.length; p++) {
            for (int v = 0; v < z[p].length; v++) {
              z[p][v] = round(u[p][v] + round((cfg + 1) * round(z[p][v] - u[p][v])));
            }
          }
        }
        if (eosInf >= 0) {
          for (double[] row : z) {
            row[eosInf] = Double.NEGATIVE_INFINITY;
          }
        }
        if (prophet(check, z, (double) step / steps, step)) {
          return;
        }
        int[] x0 = new int[x.length];
        double[] c = new double[x.length];
        for (int p = 0; p < x.length; p++) {
          x0[p] = argmax(z[p]);
          double[] cut = z[p].clone();
          for (int id : confidenceInf) {
            cut[id] = Double.NEGATIVE_INFINITY;
          }
          c[p] = remasking.equals("random") ? uniforms.at(step, p) : softmax(cut)[x0[p]];
          if (x[p] != mask || p >= end) {
            c[p] = Double.NEGATIVE_INFINITY;
          }
        }
        Integer[] order = topk(c);
        for (int j = 0; j < Math.min(k[i], order.length); j++) {
          put(order[j], x0[order[j]], step);
        }
      }
    }
  }

  /** Top-p, then top-k; equal logits stay together. */
  private double[] filtered(double[] z, int topK, double topP) {
    double[] p = softmax(z);
    double[] kept = new double[z.length];
    for (int v = 0; v < z.length; v++) {
      double above = 0;
      for (int w = 0; w < z.length; w++) {
        above += z[w] > z[v] ? p[w] : 0;
      }
      kept[v] = round(above) <= round(topP) ? z[v] : Double.NEGATIVE_INFINITY;
    }
    double[] sorted = kept.clone();
    Arrays.sort(sorted);
    for (int v = 0; v < z.length && topK > 0 && topK < z.length; v++) {
      kept[v] = kept[v] < sorted[z.length - topK] ? Double.NEGATIVE_INFINITY : kept[v];
    }
    return kept;
  }

  /** Dream's diffusion_generate with temperature 0. */
  void dream(float eps, int steps, String algorithm, int topK, double topP, Uniforms uniforms) {
    float[] t = new float[steps + 1];
    float width = (eps - 1f) / steps;
    for (int i = 0; i <= steps; i++) {
      t[i] = i < (steps + 1) / 2 ? 1f + width * i : eps - width * (steps - i);
    }
    for (int i = 0; i < steps; i++) {
      int m = countMasks(0, x.length);
      if (m == 0) {
        return;
      }
      float r = i < steps - 1 ? 1f - t[i + 1] / t[i] : 1f;
      int k = (int) (m * r);
      if (!algorithm.equals("origin") && k == 0) {
        continue;
      }
      double[][] z = forward(x);
      passes++;
      double[] c = new double[x.length];
      int[] x0 = new int[x.length];
      int[] before = x.clone();
      for (int p = 0; p < x.length; p++) {
        c[p] = Double.NEGATIVE_INFINITY;
        if (before[p] != mask) {
          continue;
        }
        double[] probability = softmax(filtered(z[p], topK, topP));
        x0[p] = argmax(probability);
        switch (algorithm) {
          case "origin" -> {
            if (uniforms.at(i, p) < r) {
              put(p, x0[p], i);
            }
          }
          case "maskgit_plus" -> c[p] = probability[x0[p]];
          case "topk_margin" -> {
            double[] two = twoLargest(probability);
            c[p] = round(two[0] - two[1]);
          }
          case "entropy" -> c[p] = negativeEntropy(probability);
          default -> throw new AssertionError(algorithm);
        }
      }
      Integer[] order = topk(c);
      for (int j = 0; j < Math.min(k, order.length); j++) {
        put(order[j], x0[order[j]], i);
      }
    }
  }

  /** How many of the sorted confidences are accepted. */
  static int threshold(double[] sorted, double tau) {
    int n = 1;
    while (n < sorted.length && sorted[n] >= tau) {
      n++;
    }
    return n;
  }

  /** Fast-dLLM's dynamic transfer; the loop index is used once more after the loop. */
  static int factor(double[] sorted, double f, boolean released) {
    int m = sorted.length;
    if (!released) {
      int n = 0;
      while (n < m && (n == 0 || sorted[n] >= 1 - f / (n + 2))) {
        n++;
      }
      return n;
    }
    double[] limits = new double[m];
    for (int i = 0; i < m; i++) {
      limits[i] = 1 - f / (i + 2);
    }
    limits[0] = -1;
    int top = 0;
    for (int i = 0; i < m; i++) {
      top = i;
      if (sorted[i] < limits[i]) {
        break;
      }
    }
    if (top == 0 || top == m - 1) {
      top++;
    }
    return top;
  }

  /**
   * Fast-dLLM's loop: a block until it has no mask. Also EB-Sampler's, whose order is by entropy.
   *
   * @param count accepted ones among sorted values
   * @return false when two passes in a row had no effect
   */
  boolean fast(int prompt, int block, String order, Count count) {
    for (int start = prompt; start < x.length; start += block) {
      int end = start + block;
      int idle = 0;
      while (countMasks(start, end) > 0 || prompt == start && countMasks(0, start) > 0) {
        double[][] z = forward(x);
        int step = passes++;
        double[] c = new double[x.length];
        int[] x0 = new int[x.length];
        for (int p = 0; p < x.length; p++) {
          c[p] = Double.NEGATIVE_INFINITY;
          if (x[p] == mask && p < end) {
            double[] probability = softmax(z[p]);
            x0[p] = argmax(z[p]);
            c[p] = order.equals("entropy") ? negativeEntropy(probability) : probability[x0[p]];
          }
        }
        Integer[] sorted = topk(c);
        double[] values = Arrays.stream(sorted).mapToDouble(p -> c[p]).toArray();
        int n = count.of(values);
        int committed = 0;
        for (int j = 0; j < n; j++) {
          put(sorted[j], x0[sorted[j]], step);
          committed += x0[sorted[j]] == mask ? 0 : 1;
        }
        idle = committed == 0 ? idle + 1 : 0;
        if (idle == 2) {
          return false;
        }
      }
    }
    return true;
  }

  /**
   * SGLang's joint threshold: a block until it has no mask, then edits of it until nothing changes.
   * Masks are not proposed; a block's last pass, of which only keys and values are used, is left
   * out.
   *
   * @return tokens that were replaced
   */
  int joint(int prompt, int block, double tau, double edit, int mostEditPasses) {
    int edits = 0;
    for (int start = prompt; start < x.length; start += block) {
      boolean[] editable = new boolean[x.length];
      for (int p = start; p < start + block; p++) {
        editable[p] = x[p] == mask;
      }
      int editPasses = 0;
      boolean moved = countMasks(start, start + block) > 0;
      while (moved && (countMasks(start, start + block) > 0 || editPasses++ < mostEditPasses)) {
        double[][] z = forward(x);
        int step = passes++;
        int[] now = x.clone();
        int best = -1;
        double most = -1;
        moved = false;
        for (int p = start; p < start + block; p++) {
          z[p][mask] = Double.NEGATIVE_INFINITY;
          int x0 = argmax(z[p]);
          double c = softmax(z[p])[x0];
          if (now[p] == mask) {
            if (c > most) {
              best = p;
              most = c;
            }
            moved |= c > tau;
          }
          if (now[p] == mask ? c > tau : editable[p] && x0 != now[p] && c > edit) {
            put(p, x0, step);
            edits += now[p] == mask ? 0 : 1;
          }
        }
        if (!moved && best >= 0) {
          put(best, argmax(z[best]), step);
        }
        moved = !Arrays.equals(x, now);
      }
    }
    return edits;
  }

  /** How many of the sorted values are accepted. */
  interface Count {
    int of(double[] sorted);
  }

  static int entropyBound(double[] negative, double gamma) {
    int n = 0;
    double before = 0;
    while (n < negative.length && (n == 0 || before <= gamma)) {
      before -= negative[n];
      n++;
    }
    return n;
  }

  private double negativeEntropy(double[] probability) {
    double sum = 0;
    for (double p : probability) {
      sum += round(p * round(Math.log(round(p + 1e-10))));
    }
    return round(sum);
  }
}
