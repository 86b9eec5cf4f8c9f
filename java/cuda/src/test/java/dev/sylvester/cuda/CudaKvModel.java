package dev.sylvester.cuda;

import static dev.sylvester.kernels.KvModel.HEAD_DIM;
import static dev.sylvester.kernels.KvModel.KEY_HEADS;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import dev.sylvester.kernels.KvModel;
import dev.sylvester.kernels.KvOptions;
import dev.sylvester.kernels.KvPlan;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;

/** A cache of {@link KvModel} on the device: two slots, pages in no order. */
final class CudaKvModel implements AutoCloseable {
  static final int SLOTS = 2;
  static final int PAGE_TILES = 3;
  static final int TILES = 18; // of a sequence, of which there are two

  final DeviceCopies copies;
  final KvPlan onProcessor;
  final CudaKvPlan plan;
  final DeviceMemory pages;
  final CudaKvBatch batch;
  final List<CudaKvHalves> halves = new ArrayList<>();

  CudaKvModel(DeviceCopies copies, KvOptions options, int mostRows) {
    this.copies = copies;
    onProcessor = KvModel.plan(options);
    plan = CudaKvPlan.of(onProcessor, DeviceCopies.DEVICE);
    pages = copies.allocate(SLOTS * TILES * plan.info().tileBytes());
    pages.fill((byte) 0, null);
    batch = CudaKvBatch.allocate(plan, pages, PAGE_TILES, SLOTS, TILES);
    for (int layer = 0; layer < KvModel.LAYERS; layer++) {
      halves.add(halves(mostRows));
    }
  }

  private CudaKvHalves halves(int mostRows) {
    KvPlan.Info info = plan.info();
    int sinks = info.firstTokens() + info.maxSinks();
    if (info.window() == 0 && sinks == 0) {
      return null;
    }
    long ring = 2L * SLOTS * KEY_HEADS * plan.ringTiles(mostRows) * 16 * HEAD_DIM;
    long sink = 2L * SLOTS * KEY_HEADS * sinks * HEAD_DIM;
    MemorySegment tokens = copies.arena.allocate(JAVA_INT, (long) SLOTS * sinks);
    for (int i = 0; i < SLOTS * sinks; i++) {
      tokens.setAtIndex(JAVA_INT, i, i % sinks < info.firstTokens() ? i % sinks : -1);
    }
    return new CudaKvHalves(
        plan.ringTiles(mostRows),
        copies.workspace(ring),
        copies.workspace(ring),
        copies.workspace(sink),
        copies.workspace(sink),
        sinks == 0 ? null : copies.of(tokens));
  }

  /** Tiles of a slot, from the last page to the first, those of the other slot between them. */
  static int[] tiles(int slot) {
    return IntStream.range(0, TILES).map(t -> SLOTS * (TILES - 1 - t) + slot).toArray();
  }

  @Override
  public void close() {
    batch.close();
    plan.close();
    onProcessor.close();
  }
}
