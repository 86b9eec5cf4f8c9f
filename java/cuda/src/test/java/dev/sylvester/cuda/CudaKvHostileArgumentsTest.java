package dev.sylvester.cuda;

import static dev.sylvester.kernels.KvModel.KEY_COLS;
import static dev.sylvester.kernels.KvModel.QUERY_COLS;

import dev.sylvester.kernels.Chance;
import dev.sylvester.kernels.KvOptions;
import dev.sylvester.kernels.KvSide;
import net.jqwik.api.EdgeCasesMode;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.ShrinkingMode;
import net.jqwik.api.lifecycle.AfterContainer;

/** Calls of a packed cache, as {@link HostileDeviceCalls} says. */
class CudaKvHostileArgumentsTest extends HostileDeviceCalls {
  private static final int MOST_ROWS = 4;
  private static final DeviceCopies COPIES = new DeviceCopies();
  private static final CudaKvModel[] MODELS = {
    new CudaKvModel(COPIES, KvOptions.preset("best", 8).withWindow(16).withSinks(0, 3), MOST_ROWS),
    new CudaKvModel(COPIES, KvOptions.preset("quarot", 4).withBits(2, 8), MOST_ROWS)
  };

  @AfterContainer
  static void free() {
    for (CudaKvModel model : MODELS) {
      model.close();
    }
    COPIES.close();
  }

  @Property(
      tries = TRIES,
      seed = "6",
      edgeCases = EdgeCasesMode.NONE,
      shrinking = ShrinkingMode.OFF)
  void packedCache(@ForAll long seed) {
    Chance chance = new Chance(seed);
    CudaKvModel model = chance.any(MODELS);
    CudaKvBatch batch = model.batch;
    int layer = (int) chance.size(chance.between(0, 1));
    survive(
        () -> {
          batch.begin();
          for (int s = 0; s < chance.between(1, 2); s++) {
            int rows = (int) chance.between(0, MOST_ROWS);
            int[] tiles = CudaKvModel.tiles(s);
            tiles[(int) chance.between(0, 3)] = (int) chance.size(1);
            int length = (int) chance.between(rows, 60);
            batch.add((int) chance.size(rows), (int) chance.size(length), s, tiles);
          }
          if (!chance.hostile()) {
            batch.upload(stream(chance));
          }
          long rows = batch.rows();
          CudaKvHalves halves = chance.hostile() ? null : model.halves.get(0);
          long stride = KEY_COLS + chance.between(0, 3);
          switch ((int) chance.between(0, 2)) {
            case 0 ->
                model.plan.append(
                    layer,
                    batch,
                    halves,
                    memory(chance, 0, 4 * rows * stride),
                    chance.size(stride),
                    memory(chance, 1, 4 * rows * KEY_COLS),
                    chance.size(KEY_COLS),
                    stream(chance));
            case 1 -> {
              long needed = model.plan.attendWorkspaceBytes(batch);
              try (DeviceMemory scratch = DeviceMemory.allocate(DEVICE, needed)) {
                model.plan.attend(
                    layer,
                    batch,
                    halves,
                    memory(chance, 0, 4 * rows * QUERY_COLS),
                    chance.size(QUERY_COLS),
                    memory(chance, 1, 4 * rows * QUERY_COLS),
                    chance.size(QUERY_COLS),
                    chance.hostile() ? memory(chance, 2, 64) : scratch,
                    stream(chance));
              }
            }
            default -> {
              long count = chance.between(0, 4);
              model.plan.dequantize(
                  layer,
                  batch,
                  halves,
                  (int) chance.size(0),
                  chance.any(KvSide.values()),
                  chance.size(0),
                  chance.size(count),
                  memory(chance, 0, 4 * count * stride),
                  chance.size(stride),
                  stream(chance));
            }
          }
        });
  }
}
