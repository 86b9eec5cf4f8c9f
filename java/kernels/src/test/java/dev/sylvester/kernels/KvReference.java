package dev.sylvester.kernels;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import dev.sylvester.kernels.KvCoding.Rotation;
import dev.sylvester.kernels.KvQuantizer.Grid;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Attention by definition, in double, over what a sequence says its keys and values are, and how
 * far from it the kernel may be.
 *
 * <p>Let q' = R (q / gain), k' = R ((k - mean) gain), d their length. A query rounded to steps of a
 * = max|q'| / m, m = 127 or 8191, has errors that are uniform within a step: they move the score of
 * a packed key by scale a / sqrt(12) |k'|, as a deviation. Float arithmetic moves it by at most 2 d
 * u scale |q| |k|, since a dot product takes d roundings, rotations and positions of both sides
 * less than d more, for the dimensions used here. With all scores within e, weights are within a
 * factor exp(2 e), so that y moves by at most (exp(2 e) - 1) sum p |v - y|. A weight times a scale,
 * w = p s, rounded by dither to steps of max w / n, n = 127 or 4095, has a deviation of half a step
 * or less: channel c of y' = R (y - mean) moves by exp(2 e) max w / (2 n) sqrt(sum_j (v'_jc /
 * s_j)^2) over packed tokens. All this holds for the length of the difference, since R keeps
 * lengths. Seeds are fixed; deviations count {@value #DEVIATIONS} times.
 */
public final class KvReference {
  private static final double EPS = 0x1p-24;
  private static final double DEVIATIONS = 4;
  private static final int D = KvModel.HEAD_DIM;

  private final KvSequence sequence;
  private final KvOptions options;
  private final int layer;
  private final int tokens;
  private final int packed;
  private final double[] keyCenter;
  private final double[] keyGain;
  private final float[] keys;
  private final float[] values;
  private final int groups;
  private final byte[] codes;
  private final byte[] scales;
  private final byte[] zeros;

  public KvReference(KvSequence sequence, int layer) {
    this.sequence = sequence;
    this.options = sequence.cache().options();
    this.layer = layer;
    tokens = (int) sequence.length(layer);
    packed = (int) sequence.memory().packedTokens();
    keyCenter = KvModel.center(options, KvSide.KEYS);
    keyGain = KvModel.gain(options);
    keys = sequence.dequantize(layer, KvSide.KEYS);
    values = sequence.dequantize(layer, KvSide.VALUES);
    groups = (int) sequence.groups(KvSide.VALUES);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment c = arena.allocate((long) packed * KvModel.KEY_COLS);
      MemorySegment s = arena.allocate((long) packed * groups);
      MemorySegment z = arena.allocate((long) packed * groups);
      sequence.codes(layer, KvSide.VALUES, 0, packed, c, s, z);
      codes = c.toArray(JAVA_BYTE);
      scales = s.toArray(JAVA_BYTE);
      zeros = z.toArray(JAVA_BYTE);
    }
  }

  /** Attention of one head, and the bound. */
  public record Expected(double[] y, double bound) {}

  /** The newest query, of one head. */
  public Expected attend(float[] q, int head) {
    KvGeometry geometry = sequence.cache().geometry();
    int keyHead = head / (KvModel.QUERY_HEADS / KvModel.KEY_HEADS);
    double[] query = new double[D];
    for (int i = 0; i < D; i++) {
      query[i] = q[head * D + i];
    }
    double[] balanced = query.clone();
    for (int i = 0; i < D; i++) {
      balanced[i] /= keyGain[keyHead * D + i];
    }
    double step = max(rotate(balanced, options.keys().rotation())) / queryMax();
    double[] weights = new double[tokens];
    double most = Double.NEGATIVE_INFINITY;
    double error = 0;
    long window = geometry.windows().isEmpty() ? 0 : geometry.windows().get(layer);
    for (int t = 0; t < tokens; t++) {
      double[] key = row(keys, t, keyHead);
      double[] position = options.preRope() ? rope(key, t) : key;
      weights[t] = geometry.scale() * dot(query, position);
      double e = 2 * D * EPS * geometry.scale() * norm(query) * norm(position);
      if (t < packed && !options.preRope()) {
        for (int i = 0; i < D; i++) {
          key[i] = (key[i] - keyCenter[keyHead * D + i]) * keyGain[keyHead * D + i];
        }
        double deviation = geometry.scale() * step / Math.sqrt(12) * norm(key);
        e += DEVIATIONS * deviation;
      }
      if (geometry.softCap() > 0) {
        weights[t] = geometry.softCap() * Math.tanh(weights[t] / geometry.softCap());
      }
      if (window > 0 && t <= tokens - 1 - window) {
        weights[t] = Double.NEGATIVE_INFINITY;
      } else {
        error = Math.max(error, e);
      }
      most = Math.max(most, weights[t]);
    }
    double sum = 0;
    for (int t = 0; t < tokens; t++) {
      weights[t] = Math.exp(weights[t] - most);
      sum += weights[t];
    }
    double[] y = new double[D];
    for (int t = 0; t < tokens; t++) {
      weights[t] /= sum;
      double[] value = row(values, t, keyHead);
      for (int i = 0; i < D; i++) {
        y[i] += weights[t] * value[i];
      }
    }
    double spread = 0;
    double length = 0;
    for (int t = 0; t < tokens; t++) {
      double[] value = row(values, t, keyHead);
      length += weights[t] * norm(value);
      for (int i = 0; i < D; i++) {
        value[i] -= y[i];
      }
      spread += weights[t] * norm(value);
    }
    double bound = Math.expm1(2 * error) * spread + Math.exp(2 * error) * dither(weights, keyHead);
    // The sums themselves, in any order, and the way back.
    return new Expected(y, bound + (tokens + 2 * D) * EPS * length);
  }

  private double queryMax() {
    return options.keys().bits() <= 3 ? 127 : 8191;
  }

  private double dither(double[] weights, int keyHead) {
    int bits = options.values().bits();
    double steps = bits <= 3 ? 127 : 4095;
    double unit = options.quantizer().integerZero() ? 1 : (1 << bits) / 64.0;
    int group = Math.min(options.values().group(), D);
    int perHead = Math.ceilDiv(D, group);
    double squares = 0;
    for (int i = 0; i < D; i++) {
      int g = keyHead * perHead + i / group;
      double most = 0;
      double sum = 0;
      for (int t = 0; t < packed; t++) {
        most = Math.max(most, weights[t] * scale(scales[t * groups + g]));
        double level =
            options.quantizer().grid() == Grid.LLOYD_MAX
                ? 31
                : (codes[t * KvModel.KEY_COLS + keyHead * D + i] & 0xff)
                    - unit * zeros[t * groups + g];
        sum += level * level;
      }
      squares += Math.pow(most / (2 * steps), 2) * sum;
    }
    return DEVIATIONS * Math.sqrt(squares);
  }

  /** The upper half, without the sign, of a half. */
  static double scale(byte stored) {
    return Float.float16ToFloat((short) ((stored & 0xff) << 7));
  }

  private static double[] row(float[] rows, int token, int head) {
    double[] row = new double[D];
    for (int i = 0; i < D; i++) {
      row[i] = rows[token * KvModel.KEY_COLS + head * D + i];
    }
    return row;
  }

  /** Pairs (i, i + d/2) by position times frequency. */
  static double[] rope(double[] x, long position) {
    double[] y = new double[D];
    for (int i = 0; i < D / 2; i++) {
      double angle = position * KvModel.GEOMETRY.inverseFrequencies().get(i);
      y[i] = Math.cos(angle) * x[i] - Math.sin(angle) * x[i + D / 2];
      y[i + D / 2] = Math.cos(angle) * x[i + D / 2] + Math.sin(angle) * x[i];
    }
    return y;
  }

  private static double[] rotate(double[] x, Rotation rotation) {
    if (rotation == Rotation.NONE) {
      return x;
    }
    double[] y = new double[D];
    for (int i = 0; i < D; i++) {
      for (int j = 0; j < D; j++) {
        y[i] += (Integer.bitCount(i & j) % 2 == 0 ? x[j] : -x[j]) / Math.sqrt(D);
      }
    }
    return y;
  }

  private static double dot(double[] a, double[] b) {
    double sum = 0;
    for (int i = 0; i < D; i++) {
      sum += a[i] * b[i];
    }
    return sum;
  }

  public static double norm(double[] x) {
    return Math.sqrt(dot(x, x));
  }

  private static double max(double[] x) {
    double most = 0;
    for (double value : x) {
      most = Math.max(most, Math.abs(value));
    }
    return most;
  }
}
