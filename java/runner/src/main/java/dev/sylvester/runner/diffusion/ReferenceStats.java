package dev.sylvester.runner.diffusion;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.SplittableRandom;

/**
 * Operation by operation what the released code does, in Java: in 64-bit floats, or with results
 * rounded to bfloat16 where PyTorch stores them.
 */
final class ReferenceStats implements RowStats {
  private static final double NEVER = Double.NEGATIVE_INFINITY;

  private final int vocabSize;
  private final Sampling sampling;
  private final double temperature;
  private final boolean rounds;
  // Dream adds it to probabilities before it takes logarithms.
  private final double epsilon;
  private final boolean[] banned;
  private final boolean[] doubted;
  private final double[] row;
  private final double[] p;
  private int[] argmax = new int[0];
  private int[] token;
  private double[] gap;
  private double[] largest;
  private double[] sum;
  private double[] margin;
  private double[] entropy;
  private double[] probability;
  private MemorySegment logits;
  private MemorySegment unconditional;

  ReferenceStats(int vocabSize, Sampling sampling, int maskId, Precision precision) {
    this.vocabSize = vocabSize;
    this.sampling = sampling;
    this.temperature = sampling.temperatureOfStatistics();
    this.rounds = precision == Precision.BF16_REF;
    this.epsilon = rounds ? 1e-10 : 0;
    this.banned = flags(sampling.banned());
    this.doubted = flags(sampling.doubted());
    this.row = new double[vocabSize];
    this.p = new double[vocabSize];
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

  /** To bfloat16, half to even, as PyTorch does with the float that it computes. */
  private double round(double value) {
    if (!rounds || Double.isNaN(value)) {
      return value;
    }
    int bits = Float.floatToRawIntBits((float) value);
    return Float.intBitsToFloat(bits + 0x7fff + (bits >>> 16 & 1) & 0xffff0000);
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
      gap = new double[count];
      largest = new double[count];
      sum = new double[count];
      margin = new double[count];
      entropy = new double[count];
      probability = new double[count];
    }
  }

  private double logit(int r, int v) {
    long index = (long) r * vocabSize + v;
    double z = round(logits.getAtIndex(ValueLayout.JAVA_FLOAT, index));
    if (unconditional == null) {
      return z;
    }
    double u = round(unconditional.getAtIndex(ValueLayout.JAVA_FLOAT, index));
    return round(u + round((sampling.guidance() + 1) * round(z - u)));
  }

  private void compute(int r, int position, Decoding at) {
    int first = -1;
    double z1 = NEVER;
    double z2 = NEVER;
    for (int v = 0; v < vocabSize; v++) {
      double z = banned[v] ? NEVER : logit(r, v);
      if (Double.isNaN(z) || round(z / temperature) == Double.POSITIVE_INFINITY) {
        throw RowStats.notFinite(position, at);
      }
      row[v] = round(z / temperature);
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
    gap[r] = round(z1 - z2);
    double least = sampling.filters() ? smallestKept() : NEVER;
    for (int v = 0; v < vocabSize; v++) {
      row[v] = row[v] < least ? NEVER : row[v];
    }
    softmax(r);
    argmax[r] = first;
    if (sampling.tempered() && !doubted[first]) {
      // Dream takes the largest p, which several logits may have after rounding.
      argmax[r] = 0;
      while (p[argmax[r]] < p[first]) {
        argmax[r]++;
      }
    }
    token[r] = sampling.temperature() == 0 ? argmax[r] : draw(position, at);
    probability[r] = p[token[r]];
  }

  /** The smallest z / temperature that filters leave, among tokens that count. */
  private double smallestKept() {
    double[] sorted = row.clone();
    for (int v = 0; v < vocabSize; v++) {
      sorted[v] = doubted[v] ? NEVER : row[v];
    }
    Arrays.sort(sorted);
    double most = sorted[vocabSize - 1];
    int k = sampling.topK();
    double least = k > 0 && k < vocabSize ? sorted[vocabSize - k] : NEVER;
    if (sampling.topP() < 1 && most > NEVER) {
      double whole = 0;
      for (double z : sorted) {
        whole += Math.exp(z - most);
      }
      int last = vocabSize;
      for (double before = 0; last > 0 && round(before) <= round(sampling.topP()); ) {
        before += round(Math.exp(sorted[--last] - most) / whole);
      }
      least = Math.max(least, sorted[last]);
    }
    return least;
  }

  /** Probabilities of the tokens that count, and what follows from them. */
  private void softmax(int r) {
    double most = NEVER;
    for (int v = 0; v < vocabSize; v++) {
      most = doubted[v] ? most : Math.max(most, row[v]);
    }
    double whole = 0;
    for (int v = 0; v < vocabSize; v++) {
      p[v] = doubted[v] || row[v] == NEVER ? 0 : Math.exp(row[v] - most);
      whole += p[v];
    }
    double best = 0;
    double second = 0;
    double h = 0;
    for (int v = 0; v < vocabSize; v++) {
      if (p[v] > 0) {
        p[v] = round(p[v] / whole);
        second = Math.max(second, Math.min(best, p[v]));
        best = Math.max(best, p[v]);
        h -= p[v] == 0 ? 0 : round(p[v] * round(Math.log(round(p[v] + epsilon))));
      }
    }
    largest[r] = most;
    sum[r] = whole;
    margin[r] = round(best - second);
    entropy[r] = round(h);
  }

  /** The largest of logits with Gumbel noise: a draw from softmax(z / temperature). */
  private int draw(int position, Decoding at) {
    SplittableRandom random = at.random(position);
    double spread = sampling.temperature() / temperature;
    int drawn = -1;
    double most = NEVER;
    for (int v = 0; v < vocabSize; v++) {
      double noise = -Math.log(-Math.log(random.nextDouble(Double.MIN_NORMAL, 1)));
      double value = row[v] + spread * noise;
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
        : round(Math.exp(round(logit(r, v) / temperature) - largest[r]) / sum[r]);
  }

  @Override
  public double gap(int r) {
    return gap[r];
  }

  @Override
  public double margin(int r) {
    return margin[r];
  }

  @Override
  public double entropy(int r) {
    return entropy[r];
  }
}
