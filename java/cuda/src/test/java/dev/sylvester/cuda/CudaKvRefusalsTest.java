package dev.sylvester.cuda;

import static dev.sylvester.kernels.KvModel.KEY_COLS;
import static dev.sylvester.kernels.KvModel.QUERY_COLS;
import static dev.sylvester.kernels.TestData.assertRefused;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import dev.sylvester.kernels.KvModel;
import dev.sylvester.kernels.KvOptions;
import dev.sylvester.kernels.KvPlan;
import dev.sylvester.kernels.KvSide;
import dev.sylvester.kernels.Status;
import java.util.Arrays;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What {@link CudaKvPlan}, {@link CudaKvBatch} and {@link CudaKvHalves} do not do. */
class CudaKvRefusalsTest {
  private static final KvOptions OPTIONS = KvOptions.preset("best", 4); // a window, a first token
  private static final int ROWS = 2;

  private final DeviceCopies copies = new DeviceCopies();
  private final CudaKvModel model = new CudaKvModel(copies, OPTIONS, ROWS);
  private final CudaKvBatch batch = model.batch;
  private final CudaKvHalves halves = model.halves.get(0);
  private final DeviceMemory k = copies.allocate(4 * ROWS * KEY_COLS);
  private final DeviceMemory q = copies.allocate(4 * ROWS * QUERY_COLS);
  private final DeviceMemory y = copies.allocate(4 * ROWS * QUERY_COLS);
  private final DeviceMemory scratch = copies.allocate(1 << 20);

  @BeforeEach
  void fill() {
    k.fill((byte) 0, null);
    q.fill((byte) 0, null);
    batch.begin();
    batch.add(ROWS, 7, 1, CudaKvModel.tiles(1));
    batch.upload(null);
  }

  @AfterEach
  void free() {
    model.close();
    copies.close();
  }

  private void append(CudaKvHalves of, DeviceMemory keys, long stride, DeviceMemory values) {
    model.plan.append(0, batch, of, keys, stride, values, KEY_COLS, null);
  }

  private void attend(DeviceMemory from, long stride, DeviceMemory to, DeviceMemory workspace) {
    model.plan.attend(0, batch, halves, from, stride, to, QUERY_COLS, workspace, null);
  }

  private void dequantize(int sequence, KvSide side, long first, long count, DeviceMemory to) {
    model.plan.dequantize(0, batch, halves, sequence, side, first, count, to, KEY_COLS, null);
  }

  @Test
  void smallMemoryIsRefused() {
    append(halves, k, KEY_COLS, k);
    attend(q, QUERY_COLS, y, scratch);
    dequantize(0, KvSide.KEYS, 0, 2, k);
    assertRefused(
        Status.BAD_SHAPE,
        "CudaKvPlan.append: k has 768 bytes, needed are 772",
        () -> append(halves, k, KEY_COLS + 1, k));
    assertRefused(
        Status.BAD_SHAPE,
        "CudaKvPlan.append: v has 767 bytes, needed are 768",
        () -> append(halves, k, KEY_COLS, k.slice(0, 767)));
    assertRefused(
        Status.BAD_SHAPE, "the stride of k is 95", () -> append(halves, k, KEY_COLS - 1, k));
    assertRefused(
        Status.BAD_SHAPE,
        "CudaKvPlan.attend: q has 768 bytes, needed are 1536",
        () -> attend(k, QUERY_COLS, y, scratch));
    assertRefused(
        Status.BAD_SHAPE,
        "CudaKvPlan.attend: y has 768 bytes, needed are 1536",
        () -> attend(q, QUERY_COLS, k, scratch));
    assertRefused(
        Status.WORKSPACE, "workspace_bytes is 16", () -> attend(q, QUERY_COLS, y, k.slice(0, 16)));
    assertRefused(
        Status.BAD_SHAPE,
        "CudaKvPlan.dequantize: y has 768 bytes, needed are 1152",
        () -> dequantize(0, KvSide.KEYS, 0, 3, k));
    assertRefused(
        Status.BAD_SHAPE,
        "y has impossible shape: -1 rows",
        () -> dequantize(0, KvSide.KEYS, 0, -1, k));
    assertRefused(Status.BAD_VALUE, "first is -1", () -> dequantize(0, KvSide.KEYS, -1, 1, k));
    assertRefused(Status.BAD_VALUE, "sequence is 1", () -> dequantize(1, KvSide.KEYS, 0, 1, k));
    assertRefused(Status.NULL_ARGUMENT, "side is null", () -> dequantize(0, null, 0, 1, k));
    assertRefused(
        Status.BAD_VALUE,
        "layer is 2",
        () -> model.plan.append(2, batch, halves, k, KEY_COLS, k, KEY_COLS, null));
  }

  @Test
  void wrongHalvesAreRefused() {
    assertRefused(Status.NULL_ARGUMENT, "halves is NULL", () -> append(null, k, KEY_COLS, k));
    DeviceMemory keys = halves.ringKeys();
    DeviceMemory one = keys.slice(0, keys.byteSize() / 2);
    assertRefused(
        Status.BAD_SHAPE,
        "halves.ringValues has " + one.byteSize() + " bytes, needed are " + keys.byteSize(),
        () ->
            append(
                new CudaKvHalves(
                    halves.ringTiles(),
                    keys,
                    one,
                    halves.sinkKeys(),
                    halves.sinkValues(),
                    halves.sinkTokens()),
                k,
                KEY_COLS,
                k));
    assertRefused(
        Status.BAD_SHAPE,
        "halves.sinkTokens has 4 bytes",
        () ->
            append(
                new CudaKvHalves(
                    halves.ringTiles(),
                    keys,
                    keys,
                    halves.sinkKeys(),
                    halves.sinkValues(),
                    k.slice(0, 4)),
                k,
                KEY_COLS,
                k));
    assertRefused(
        Status.NULL_ARGUMENT,
        "halves.sinkKeys is null",
        () ->
            append(
                new CudaKvHalves(halves.ringTiles(), keys, keys, null, keys, keys),
                k,
                KEY_COLS,
                k));
    assertRefused(
        Status.BAD_VALUE,
        "halves.ringTiles is -1",
        () -> append(new CudaKvHalves(-1, keys, keys, keys, keys, keys), k, KEY_COLS, k));
    assertRefused(
        Status.BAD_VALUE,
        "halves->ring_tiles is 1",
        () -> append(new CudaKvHalves(1, keys, keys, keys, keys, keys), k, KEY_COLS, k));
    batch.begin();
    batch.add(0, 7, 2, CudaKvModel.tiles(1));
    batch.upload(null);
    assertRefused(Status.BAD_SHAPE, "halves.ringKeys has", () -> append(halves, k, KEY_COLS, k));
  }

  @Test
  void wrongSequencesAreRefused() {
    batch.begin();
    assertRefused(Status.BAD_VALUE, "sequences is 0, must be 1..2", () -> batch.upload(null));
    int[] tiles = CudaKvModel.tiles(0);
    assertRefused(Status.BAD_VALUE, "newRows is 8, must be 0..7", () -> batch.add(8, 7, 0, tiles));
    assertRefused(Status.BAD_VALUE, "newRows is -1", () -> batch.add(-1, 7, 0, tiles));
    assertRefused(Status.BAD_VALUE, "length is -7", () -> batch.add(0, -7, 0, tiles));
    assertRefused(
        Status.BAD_VALUE, "length is 2147483647", () -> batch.add(0, Integer.MAX_VALUE, 0, tiles));
    assertRefused(Status.BAD_VALUE, "slot is -1", () -> batch.add(1, 7, -1, tiles));
    int length = OPTIONS.window() + 16 * (tiles.length - 1);
    batch.add(1, length, 0, tiles);
    assertRefused(
        Status.BAD_SHAPE,
        "tokens need",
        () -> batch.add(1, length, 0, Arrays.copyOf(tiles, tiles.length - 1)));
    assertRefused(
        Status.BAD_SHAPE,
        "tokens need",
        () -> batch.add(1, length + 16, 0, Arrays.copyOf(tiles, tiles.length + 1)));
    for (int wrong : new int[] {-1, 36, Integer.MIN_VALUE}) {
      int[] other = tiles.clone();
      other[2] = wrong;
      assertRefused(
          Status.BAD_VALUE,
          "CudaKvBatch.add: tiles[2] is " + wrong + ", must be 0..35",
          () -> batch.add(1, length, 0, other));
    }
    assertRefused(Status.NULL_ARGUMENT, "tiles is null", () -> batch.add(1, 7, 0, (int[]) null));
    assertThatIllegalStateException()
        .isThrownBy(() -> append(halves, k, KEY_COLS, k))
        .withMessage("CudaKvBatch was not uploaded");
    batch.add(1, 7, 1, tiles);
    assertRefused(
        Status.BAD_VALUE, "sequences is 3, must be 1..2", () -> batch.add(1, 7, 1, tiles));
    batch.upload(null);
    append(halves, k, KEY_COLS, k);
  }

  @Test
  void wrongBatchesAreRefused() {
    CudaKvPlan plan = model.plan;
    assertRefused(
        Status.BAD_VALUE,
        "pageTiles is 257",
        () -> CudaKvBatch.allocate(plan, model.pages, 257, 1, 1));
    assertRefused(
        Status.BAD_VALUE,
        "maxSequences is 0",
        () -> CudaKvBatch.allocate(plan, model.pages, 1, 0, 1));
    assertRefused(
        Status.BAD_VALUE, "maxTiles is 0", () -> CudaKvBatch.allocate(plan, model.pages, 1, 1, 0));
    assertRefused(
        Status.NULL_ARGUMENT,
        "CudaKvBatch.allocate: pages is null",
        () -> CudaKvBatch.allocate(plan, null, 1, 1, 1));
    DeviceMemory far = DeviceMemory.foreign(DeviceCopies.OTHER, model.pages.memory());
    assertRefused(
        Status.BAD_VALUE,
        "CudaKvBatch.allocate: pages is on device 1, not 0",
        () -> CudaKvBatch.allocate(plan, far, 1, 1, 1));
    try (CudaKvBatch few = CudaKvBatch.allocate(plan, model.pages.slice(0, 64), 1, 1, 18)) {
      few.begin();
      assertRefused(
          Status.BAD_VALUE, "tiles[0] is 0, must be 0..-1", () -> few.add(1, 300, 0, new int[18]));
    }
    try (CudaKvModel other = new CudaKvModel(copies, OPTIONS, ROWS)) {
      assertRefused(
          Status.BAD_VALUE,
          "CudaKvPlan.append: batch is of another plan",
          () -> other.plan.append(0, batch, halves, k, KEY_COLS, k, KEY_COLS, null));
    }
    assertRefused(
        Status.NULL_ARGUMENT,
        "CudaKvPlan.attendWorkspaceBytes: batch is null",
        () -> plan.attendWorkspaceBytes(null));
    assertRefused(
        Status.NULL_ARGUMENT,
        "CudaKvPlan.of: plan is null",
        () -> CudaKvPlan.of(null, DeviceCopies.DEVICE));
    assertRefused(
        Status.BAD_VALUE,
        "CudaKvBatch.upload: stream is on device 1, not 0",
        () -> batch.upload(DeviceCopies.otherStream()));
  }

  @Test
  void whatIsClosedIsRefused() {
    model.pages.close();
    assertThatIllegalStateException()
        .isThrownBy(() -> append(halves, k, KEY_COLS, k))
        .withMessage("DeviceMemory is closed");
    batch.close();
    assertThatIllegalStateException()
        .isThrownBy(() -> batch.upload(null))
        .withMessage("DeviceMemory is closed");
    model.plan.close();
    model.plan.close();
    assertThatIllegalStateException()
        .isThrownBy(() -> append(halves, k, KEY_COLS, k))
        .withMessage("CudaKvPlan is closed");
    assertThatIllegalStateException()
        .isThrownBy(() -> CudaKvPlan.of(closed(), DeviceCopies.DEVICE))
        .withMessage("KvPlan is closed");
  }

  private static KvPlan closed() {
    KvPlan plan = KvModel.plan(OPTIONS);
    plan.close();
    return plan;
  }
}
