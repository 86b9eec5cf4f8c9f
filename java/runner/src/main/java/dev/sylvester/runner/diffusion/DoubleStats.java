package dev.sylvester.runner.diffusion;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.SplittableRandom;

/** In 64-bit floats, in Java. */
final class DoubleStats implements RowStats {
  private final int vocabSize;
  private final Sampling sampling;
  private final boolean[] banned;
  private final boolean[] doubted;
  private final double[] row;
  private int[] argmax = new int[0];
  private int[] token;
  private double[] best;
  private double[] gap;
  private double[] keptGap;
  private double[] logSum;
  private double[] entropy;
  private double[] probability;
  private MemorySegment logits;
  private MemorySegment unconditional;

  DoubleStats(int vocabSize, Sampling sampling, int maskId) {
    this.vocabSize = vocabSize;
    this.sampling = sampling;
    this.banned = flags(sampling.banned());
    this.doubted = flags(sampling.doubted());
    this.row = new double[vocabSize];
    if (!sampling.allowMask()) {
      banned[maskId] = true;
    }
  }

  private boolean[] flags(Iterable<Integer> tokens) {
    boolean[] flags = new boolean[vocabSize];
    for (int token : tokens) {
      flags[token] = true;
    }
    return flags;
  }

  @Override
  public void compute(
      MemorySegment logits, MemorySegment unconditional, Predictions of, Decoding at) {
    this.logits = logits;
    this.unconditional = unconditional;
    reserve(of.count());
    for (int r = 0; r < of.count(); r++) {
      compute(r, of.position(r), at);
    }
  }

  private void reserve(int count) {
    if (argmax.length < count) {
      argmax = new int[count];
      token = new int[count];
      best = new double[count];
      gap = new double[count];
      keptGap = new double[count];
      logSum = new double[count];
      entropy = new double[count];
      probability = new double[count];
    }
  }

  private double logit(int r, int v) {
    long index = (long) r * vocabSize + v;
    float z = logits.getAtIndex(ValueLayout.JAVA_FLOAT, index);
    if (unconditional == null) {
      return z;
    }
    float u = unconditional.getAtIndex(ValueLayout.JAVA_FLOAT, index);
    return u + (sampling.guidance() + 1) * ((double) z - u);
  }

  private void compute(int r, int position, Decoding at) {
    int first = -1;
    double z1 = Double.NEGATIVE_INFINITY;
    double z2 = Double.NEGATIVE_INFINITY;
    for (int v = 0; v < vocabSize; v++) {
      double z = banned[v] ? Double.NEGATIVE_INFINITY : logit(r, v);
      if (Double.isNaN(z) || z == Double.POSITIVE_INFINITY) {
        throw RowStats.notFinite(position, at);
      }
      row[v] = z;
      if (z > z1) {
        z2 = z1;
        z1 = z;
        first = v;
      } else if (z > z2) {
        z2 = z;
      }
    }
    if (first < 0) {
      throw RowStats.notFinite(position, at);
    }
    argmax[r] = first;
    best[r] = z1;
    gap[r] = z1 - z2;
    double scale = sampling.scale();
    double least = sampling.filters() ? smallestKept(scale) : Double.NEGATIVE_INFINITY;
    for (int v = 0; v < vocabSize; v++) {
      row[v] = row[v] < least ? Double.NEGATIVE_INFINITY : row[v];
    }
    keptGap[r] = z2 < least ? Double.POSITIVE_INFINITY : gap[r];
    double sum = 0;
    double moment = 0;
    for (int v = 0; v < vocabSize; v++) {
      if (v != first && !doubted[v] && row[v] != Double.NEGATIVE_INFINITY) {
        double d = (row[v] - z1) * scale;
        double e = Math.exp(d);
        sum += e;
        moment += d * e;
      }
    }
    double own = doubted[first] ? 0 : 1;
    logSum[r] = Math.log(own + sum);
    entropy[r] = sum == 0 ? 0 : logSum[r] - moment / (own + sum);
    token[r] = sampling.temperature() == 0 ? first : draw(position, at);
    probability[r] = doubted[token[r]] ? 0 : Math.exp((row[token[r]] - z1) * scale) / (own + sum);
  }

  /** The smallest logit that filters leave, among tokens that count. */
  private double smallestKept(double scale) {
    double[] sorted = row.clone();
    for (int v = 0; v < vocabSize; v++) {
      sorted[v] = doubted[v] ? Double.NEGATIVE_INFINITY : row[v];
    }
    Arrays.sort(sorted);
    int top = vocabSize - 1;
    int k = sampling.topK();
    double least = k > 0 && k < vocabSize ? sorted[vocabSize - k] : Double.NEGATIVE_INFINITY;
    if (sampling.topP() < 1 && sorted[top] > Double.NEGATIVE_INFINITY) {
      double whole = 0;
      for (double z : sorted) {
        whole += Math.exp((z - sorted[top]) * scale);
      }
      int last = vocabSize;
      for (double sum = 0; last > 0 && sum < sampling.topP() * whole; ) {
        sum += Math.exp((sorted[--last] - sorted[top]) * scale);
      }
      least = Math.max(least, sorted[last]);
    }
    return least;
  }

  /** The largest of logits with Gumbel noise: a draw from softmax(z / temperature). */
  private int draw(int position, Decoding at) {
    SplittableRandom random = at.random(position);
    int drawn = -1;
    double most = Double.NEGATIVE_INFINITY;
    for (int v = 0; v < vocabSize; v++) {
      double noise = -Math.log(-Math.log(random.nextDouble(Double.MIN_NORMAL, 1)));
      double value = row[v] + sampling.temperature() * noise;
      if (value > most) {
        most = value;
        drawn = v;
      }
    }
    return drawn;
  }

  @Override
  public int argmax(int r) {
    return argmax[r];
  }

  @Override
  public int token(int r) {
    return token[r];
  }

  @Override
  public double probability(int r) {
    return probability[r];
  }

  @Override
  public double probability(int r, int v) {
    return banned[v] || doubted[v]
        ? 0
        : Math.exp((logit(r, v) - best[r]) * sampling.scale() - logSum[r]);
  }

  @Override
  public double gap(int r) {
    return gap[r];
  }

  @Override
  public double margin(int r) {
    return -Math.expm1(-keptGap[r] * sampling.scale()) * Math.exp(-logSum[r]);
  }

  @Override
  public double entropy(int r) {
    return entropy[r];
  }
}
