package dev.sylvester.kernels;

import dev.sylvester.kernels.KvCoding.Rotation;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Random;
import java.util.stream.Stream;

/** A small model's attention, its keys and values, and plans for them. */
final class KvModel {
  static final int LAYERS = 2;
  static final int QUERY_HEADS = 6;
  static final int KEY_HEADS = 3;
  static final int HEAD_DIM = 32;
  static final int QUERY_COLS = QUERY_HEADS * HEAD_DIM;
  static final int KEY_COLS = KEY_HEADS * HEAD_DIM;
  static final KvGeometry GEOMETRY =
      KvGeometry.of(LAYERS, QUERY_HEADS, KEY_HEADS, HEAD_DIM)
          .withRope(RopeScaling.none(10000), HEAD_DIM, false);

  private static final int CALIBRATION_TOKENS = 256;
  private static final long CALIBRATION_SEED = 77;

  private KvModel() {}

  /** Every preset as it is, and what they do not have. */
  static Stream<KvOptions> options() {
    return Stream.concat(
        KvOptions.PRESETS.stream().map(KvOptions::preset),
        Stream.of(
            KvOptions.preset("best", 3),
            KvOptions.preset("best", 4).withPreRope(true),
            KvOptions.preset("best", 8).withWindow(16).withSinks(0, 3),
            KvOptions.preset("quarot", 4).withBits(2, 8),
            KvOptions.preset("turbo", 3),
            KvOptions.preset("rotatekv", 4)
                .withValues(new KvCoding(Rotation.NONE, true, 8, 16, 1))));
  }

  /** Rows of numbers whose channels have means of their own. */
  static float[] rows(long seed, int rows, int cols) {
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

  static boolean needsCalibration(KvOptions options) {
    return options.sort() || options.keys().centered() || options.values().centered();
  }

  static KvPlan plan(KvOptions options) {
    return plan(GEOMETRY, options);
  }

  static KvPlan plan(KvGeometry geometry, KvOptions options) {
    if (!needsCalibration(options)) {
      return KvPlan.of(geometry, options);
    }
    try (KvCalibration calibration = KvCalibration.of(geometry)) {
      for (int layer = 0; layer < geometry.layers(); layer++) {
        int cols = (int) geometry.keyCols();
        calibration.add(
            layer,
            rows(CALIBRATION_SEED, CALIBRATION_TOKENS, cols),
            rows(CALIBRATION_SEED + 1, CALIBRATION_TOKENS, cols));
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

  static float[] part(float[] values, int first, int rows, int cols) {
    float[] part = new float[rows * cols];
    System.arraycopy(values, first * cols, part, 0, part.length);
    return part;
  }
}
