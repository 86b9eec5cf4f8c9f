package dev.sylvester.kernels;

import dev.sylvester.kernels.KvCoding.Rotation;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.Stream;

/** A small model's attention, its keys and values, and plans for them. */
public final class KvModel {
  public static final int LAYERS = 2;
  public static final int QUERY_HEADS = 6;
  public static final int KEY_HEADS = 3;
  public static final int HEAD_DIM = 32;
  public static final int QUERY_COLS = QUERY_HEADS * HEAD_DIM;
  public static final int KEY_COLS = KEY_HEADS * HEAD_DIM;
  public static final KvGeometry GEOMETRY =
      KvGeometry.of(LAYERS, QUERY_HEADS, KEY_HEADS, HEAD_DIM)
          .withRope(RopeScaling.none(10000), HEAD_DIM, false);

  private static final int CALIBRATION_TOKENS = 256;
  private static final long CALIBRATION_SEED = 77;

  private KvModel() {}

  /** Every preset as it is, and what they do not have. */
  public static Stream<KvOptions> options() {
    return Stream.concat(
        KvOptions.PRESETS.stream().map(KvOptions::preset),
        Stream.of(
            KvOptions.preset("best", 3),
            KvOptions.preset("best", 4).withPreRope(true).withBalance(false),
            KvOptions.preset("best", 8).withWindow(16).withSinks(0, 3),
            KvOptions.preset("quarot", 4).withBits(2, 8),
            KvOptions.preset("turbo", 3),
            KvOptions.preset("rotatekv", 4)
                .withValues(new KvCoding(Rotation.NONE, true, 8, 16, 1))));
  }

  /** Rows of numbers whose channels have means of their own. */
  public static float[] rows(long seed, int rows, int cols) {
    float[] means = TestData.gaussian(cols, cols);
    Random random = new Random(seed);
    float[] values = new float[rows * cols];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian() + means[i % cols];
    }
    return values;
  }

  static MemorySegment segment(Arena arena, long seed, int rows, int cols) {
    return TestData.floats(arena, rows(seed, rows, cols));
  }

  public static KvPlan plan(KvOptions options) {
    return plan(GEOMETRY, options);
  }

  static KvPlan plan(KvGeometry geometry, KvOptions options) {
    if (!options.needsCalibration()) {
      return KvPlan.of(geometry, options);
    }
    try (KvCalibration calibration = KvCalibration.of(geometry)) {
      for (int layer = 0; layer < geometry.layers(); layer++) {
        int cols = (int) geometry.keyCols();
        calibration.add(
            layer,
            rows(CALIBRATION_SEED, CALIBRATION_TOKENS, cols),
            rows(CALIBRATION_SEED + 1, CALIBRATION_TOKENS, cols));
        calibration.addQueries(
            layer, rows(CALIBRATION_SEED + 2, CALIBRATION_TOKENS, (int) geometry.queryCols()));
      }
      return KvPlan.of(geometry, options, calibration);
    }
  }

  /** What a plan takes away from keys or values before it packs them. */
  static double[] center(KvOptions options, KvSide side) {
    double[] center = new double[KEY_COLS];
    boolean isKeys = side == KvSide.KEYS;
    if ((isKeys ? options.keys() : options.values()).centered()) {
      float[] rows = rows(CALIBRATION_SEED + (isKeys ? 0 : 1), CALIBRATION_TOKENS, KEY_COLS);
      for (int i = 0; i < rows.length; i++) {
        center[i % KEY_COLS] += rows[i] / (double) CALIBRATION_TOKENS;
      }
    }
    return center;
  }

  /** What a plan multiplies keys by. */
  static double[] gain(KvOptions options) {
    double[] gain = new double[KEY_COLS];
    Arrays.fill(gain, 1);
    if (!options.balance()) {
      return gain;
    }
    double[] center = center(options, KvSide.KEYS);
    float[] k = rows(CALIBRATION_SEED, CALIBRATION_TOKENS, KEY_COLS);
    float[] q = rows(CALIBRATION_SEED + 2, CALIBRATION_TOKENS, QUERY_COLS);
    for (int head = 0; head < KEY_HEADS; head++) {
      double logs = 0;
      for (int c = head * HEAD_DIM; c < (head + 1) * HEAD_DIM; c++) {
        double keys = 0;
        double queries = 0;
        for (int t = 0; t < CALIBRATION_TOKENS; t++) {
          keys += Math.pow(k[t * KEY_COLS + c] - center[c], 2);
          for (int i = 0; i < QUERY_HEADS / KEY_HEADS; i++) {
            int queryHead = head * (QUERY_HEADS / KEY_HEADS) + i;
            queries += Math.pow(q[t * QUERY_COLS + queryHead * HEAD_DIM + c % HEAD_DIM], 2);
          }
        }
        gain[c] = Math.pow(queries / keys, 0.25);
        logs += Math.log(gain[c]) / HEAD_DIM;
      }
      for (int c = head * HEAD_DIM; c < (head + 1) * HEAD_DIM; c++) {
        gain[c] = Math.clamp(gain[c] / Math.exp(logs), 0.125, 8);
      }
    }
    return gain;
  }

  static KvCache cache(KvOptions options, int tokens) {
    try (KvPlan plan = plan(options)) {
      return KvCache.of(plan, KvCacheOptions.ofTokens(tokens));
    }
  }

  /** The same tokens in every layer. */
  static void append(KvSequence sequence, float[] k, float[] v, int first, int rows) {
    float[] keys = part(k, first, rows, KEY_COLS);
    float[] values = part(v, first, rows, KEY_COLS);
    for (int layer = 0; layer < LAYERS; layer++) {
      sequence.append(layer, keys, values);
    }
  }

  public static float[] part(float[] values, int first, int rows, int cols) {
    float[] part = new float[rows * cols];
    System.arraycopy(values, first * cols, part, 0, part.length);
    return part;
  }
}
