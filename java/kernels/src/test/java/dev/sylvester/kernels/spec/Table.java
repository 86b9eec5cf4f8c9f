package dev.sylvester.kernels.spec;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import java.lang.foreign.MemorySegment;
import java.util.Random;

/** Logits of the next token for each pair of tokens before it. */
record Table(int vocabulary, float[] logits) {
  static Table random(int vocabulary, long seed, double scale) {
    Random random = new Random(seed);
    float[] logits = new float[vocabulary * vocabulary * vocabulary];
    for (int i = 0; i < logits.length; i++) {
      logits[i] = (float) (scale * random.nextGaussian());
    }
    return new Table(vocabulary, logits);
  }

  /** This table, and so much of another one: a draft that is not quite like it. */
  Table plus(Table other, double share) {
    float[] sum = new float[logits.length];
    for (int i = 0; i < sum.length; i++) {
      sum[i] = (float) (logits[i] + share * other.logits[i]);
    }
    return new Table(vocabulary, sum);
  }

  /** This table times a number. */
  Table times(double factor) {
    return plus(this, factor - 1);
  }

  private int begin(int beforeLast, int last) {
    return (beforeLast * vocabulary + last) * vocabulary;
  }

  void row(int beforeLast, int last, MemorySegment rows, int row) {
    long bytes = (long) vocabulary * Float.BYTES;
    MemorySegment.copy(logits, begin(beforeLast, last), rows, JAVA_FLOAT, row * bytes, vocabulary);
  }

  /** softmax(logits / T) of a row. */
  double[] probabilities(int beforeLast, int last, double temperature) {
    double[] p = new double[vocabulary];
    double max = Double.NEGATIVE_INFINITY;
    for (int i = 0; i < vocabulary; i++) {
      p[i] = logits[begin(beforeLast, last) + i] / temperature;
      max = Math.max(max, p[i]);
    }
    double sum = 0;
    for (int i = 0; i < vocabulary; i++) {
      p[i] = Math.exp(p[i] - max);
      sum += p[i];
    }
    for (int i = 0; i < vocabulary; i++) {
      p[i] /= sum;
    }
    return p;
  }
}
