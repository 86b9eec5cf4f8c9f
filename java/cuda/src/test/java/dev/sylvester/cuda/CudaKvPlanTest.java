package dev.sylvester.cuda;

import static dev.sylvester.cuda.Elements.assertSame;
import static dev.sylvester.kernels.KvModel.HEAD_DIM;
import static dev.sylvester.kernels.KvModel.KEY_COLS;
import static dev.sylvester.kernels.KvModel.LAYERS;
import static dev.sylvester.kernels.KvModel.QUERY_COLS;
import static dev.sylvester.kernels.KvModel.QUERY_HEADS;
import static dev.sylvester.kernels.KvModel.part;
import static dev.sylvester.kernels.KvModel.rows;
import static dev.sylvester.kernels.TestData.assertRefused;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static org.assertj.core.api.Assertions.assertThat;

import dev.sylvester.kernels.DType;
import dev.sylvester.kernels.KvCache;
import dev.sylvester.kernels.KvCacheOptions;
import dev.sylvester.kernels.KvModel;
import dev.sylvester.kernels.KvOptions;
import dev.sylvester.kernels.KvPlan;
import dev.sylvester.kernels.KvReference;
import dev.sylvester.kernels.KvSequence;
import dev.sylvester.kernels.KvSide;
import dev.sylvester.kernels.Status;
import java.lang.foreign.MemorySegment;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The cache on the device holds what the cache of the processor does. */
class CudaKvPlanTest {
  private static final int MOST_ROWS = 150;
  private static final int STRIDE = KEY_COLS + 5;

  private final DeviceCopies copies = new DeviceCopies();

  @AfterEach
  void free() {
    copies.close();
  }

  static Stream<KvOptions> options() {
    return KvModel.options().filter(options -> !options.preRope());
  }

  /** Rows with room between them. */
  private DeviceMemory strided(float[] rows, int cols, int stride) {
    int count = rows.length / cols;
    MemorySegment segment = copies.arena.allocate(JAVA_FLOAT, (long) count * stride);
    for (int r = 0; r < count; r++) {
      MemorySegment.copy(rows, r * cols, segment, JAVA_FLOAT, 4L * r * stride, cols);
    }
    return copies.of(segment);
  }

  private static float[] concat(float[] a, float[] b) {
    float[] both = new float[a.length + b.length];
    System.arraycopy(a, 0, both, 0, a.length);
    System.arraycopy(b, 0, both, a.length, b.length);
    return both;
  }

  /** Two sequences, appended together in unequal parts. */
  @ParameterizedTest
  @MethodSource("options")
  void appendedTokensAreThoseOfTheProcessor(KvOptions options) {
    float[][] k = {rows(2, 230, KEY_COLS), rows(3, 160, KEY_COLS)};
    float[][] v = {rows(4, 230, KEY_COLS), rows(5, 160, KEY_COLS)};
    int[][] parts = {{37, 150, 43}, {1, 9, 150}};
    try (CudaKvModel model = new CudaKvModel(copies, options, MOST_ROWS);
        KvCache cache = KvCache.of(model.onProcessor, KvCacheOptions.ofTokens(512));
        KvSequence first = cache.newSequence();
        KvSequence second = cache.newSequence()) {
      KvSequence[] sequences = {first, second};
      int[] length = {0, 0};
      for (int part = 0; part < 3; part++) {
        model.batch.begin();
        float[][] keys = new float[2][];
        float[][] values = new float[2][];
        for (int s = 0; s < 2; s++) {
          int count = parts[s][part];
          keys[s] = part(k[s], length[s], count, KEY_COLS);
          values[s] = part(v[s], length[s], count, KEY_COLS);
          length[s] += count;
          model.batch.add(count, length[s], 1 - s, CudaKvModel.tiles(s));
        }
        model.batch.upload(null);
        DeviceMemory newKeys = strided(concat(keys[0], keys[1]), KEY_COLS, STRIDE);
        DeviceMemory newValues = strided(concat(values[0], values[1]), KEY_COLS, KEY_COLS + 1);
        for (int layer = 0; layer < LAYERS; layer++) {
          model.plan.append(
              layer,
              model.batch,
              model.halves.get(layer),
              newKeys,
              STRIDE,
              newValues,
              KEY_COLS + 1,
              null);
          for (int s = 0; s < 2; s++) {
            sequences[s].append(layer, keys[s], values[s]);
          }
        }
      }
      for (int s = 0; s < 2; s++) {
        for (int layer = 0; layer < LAYERS; layer++) {
          assertTokens(model, layer, s, sequences[s]);
        }
      }
      assertAttention(model, sequences, length);
    }
  }

  private void assertTokens(CudaKvModel model, int layer, int s, KvSequence expected) {
    int count = (int) expected.length(layer);
    for (KvSide side : KvSide.values()) {
      DeviceMemory y = copies.allocate(4L * count * KEY_COLS);
      model.plan.dequantize(
          layer, model.batch, model.halves.get(layer), s, side, 0, count, y, KEY_COLS, null);
      MemorySegment all = copies.arena.allocate(JAVA_FLOAT, (long) count * KEY_COLS);
      expected.dequantize(layer, side, 0, count, all, KEY_COLS);
      assertSame(DType.F32, DeviceMemoryTest.bytes(y), DeviceMemoryTest.bytes(all));
    }
    DeviceMemory some = copies.allocate(4L * 2 * STRIDE);
    some.fill((byte) 1, null);
    model.plan.dequantize(
        layer,
        model.batch,
        model.halves.get(layer),
        s,
        KvSide.VALUES,
        count - 2,
        2,
        some,
        STRIDE,
        null);
    MemorySegment last = copies.arena.allocate(4L * 2 * STRIDE, 8).fill((byte) 1);
    expected.dequantize(layer, KvSide.VALUES, count - 2, 2, last, STRIDE);
    assertSame(DType.F32, DeviceMemoryTest.bytes(some), DeviceMemoryTest.bytes(last));
  }

  /**
   * The newest two queries of one sequence and the newest of the other. The processor's bound
   * holds: the device rounds queries and weights likewise, but to steps of the largest / 16256,
   * which are smaller.
   */
  private void assertAttention(CudaKvModel model, KvSequence[] sequences, int[] length) {
    model.batch.begin();
    model.batch.add(2, length[0], 1, CudaKvModel.tiles(0));
    model.batch.add(1, length[1], 0, CudaKvModel.tiles(1));
    model.batch.upload(null);
    int qStride = QUERY_COLS + 7;
    int yStride = QUERY_COLS + 3;
    float[] q = rows(6, 3, QUERY_COLS);
    DeviceMemory from = strided(q, QUERY_COLS, qStride);
    DeviceMemory scratch = copies.allocate(model.plan.attendWorkspaceBytes(model.batch));
    for (int layer = 0; layer < LAYERS; layer++) {
      DeviceMemory to = copies.allocate(4L * 3 * yStride);
      model.plan.attend(
          layer, model.batch, model.halves.get(layer), from, qStride, to, yStride, scratch, null);
      float[] y = DeviceMemoryTest.floats(to);
      assertNear(sequences[0], layer, part(q, 1, 1, QUERY_COLS), y, yStride);
      assertNear(sequences[1], layer, part(q, 2, 1, QUERY_COLS), y, 2 * yStride);
      to.fill((byte) 0, null);
      model.plan.attendBidirectional(
          layer,
          model.batch,
          copies.of(copies.arena.allocate(JAVA_INT, 2)),
          model.halves.get(layer),
          from,
          qStride,
          to,
          yStride,
          scratch,
          null);
      y = DeviceMemoryTest.floats(to);
      // The one before the newest sees the newest, too.
      assertNear(sequences[0], layer, part(q, 0, 1, QUERY_COLS), y, 0);
      assertNear(sequences[0], layer, part(q, 1, 1, QUERY_COLS), y, yStride);
      assertNear(sequences[1], layer, part(q, 2, 1, QUERY_COLS), y, 2 * yStride);
    }
  }

  private static void assertNear(KvSequence sequence, int layer, float[] q, float[] y, int at) {
    KvReference reference = new KvReference(sequence, layer);
    for (int head = 0; head < QUERY_HEADS; head++) {
      KvReference.Expected expected = reference.attend(q, head);
      double[] difference = new double[HEAD_DIM];
      for (int i = 0; i < HEAD_DIM; i++) {
        difference[i] = y[at + head * HEAD_DIM + i] - expected.y()[i];
      }
      assertThat(KvReference.norm(difference))
          .as("layer %d, head %d, of %f", layer, head, KvReference.norm(expected.y()))
          .isLessThanOrEqualTo(expected.bound())
          .isPositive();
    }
  }

  @Test
  void aPlanTellsWhatItIs() {
    try (KvPlan onProcessor = KvModel.plan(KvOptions.preset("quarot", 4));
        CudaKvPlan plan = CudaKvPlan.of(onProcessor, DeviceCopies.DEVICE)) {
      assertThat(plan.geometry()).isEqualTo(KvModel.GEOMETRY);
      assertThat(plan.info()).isEqualTo(onProcessor.info());
      assertThat(plan.device()).isSameAs(DeviceCopies.DEVICE);
    }
  }

  @Test
  void keysBeforeRotaryPositionsAreRefused() {
    try (KvPlan plan =
        KvModel.plan(KvOptions.preset("best", 4).withPreRope(true).withBalance(false))) {
      assertRefused(Status.UNSUPPORTED, "PRE_ROPE", () -> CudaKvPlan.of(plan, DeviceCopies.DEVICE));
    }
  }
}
