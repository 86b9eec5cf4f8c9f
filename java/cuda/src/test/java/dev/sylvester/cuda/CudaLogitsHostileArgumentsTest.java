package dev.sylvester.cuda;

import dev.sylvester.kernels.Chance;
import dev.sylvester.kernels.DType;
import dev.sylvester.kernels.LogitsOptions;
import dev.sylvester.kernels.RowSelector;
import dev.sylvester.kernels.RowSelector.Score;
import java.lang.foreign.Arena;
import net.jqwik.api.EdgeCasesMode;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.ShrinkingMode;

/** Statistics of logits and selection, as {@link HostileDeviceCalls} says. */
class CudaLogitsHostileArgumentsTest extends HostileDeviceCalls {
  private static final int CAPACITY = 4;

  /** What the memory holds is not chosen: lists name any rows, logits are any numbers. */
  @Property(
      tries = TRIES,
      seed = "4",
      edgeCases = EdgeCasesMode.NONE,
      shrinking = ShrinkingMode.OFF)
  void statisticsAndSelection(@ForAll long seed) {
    Chance chance = new Chance(seed);
    long rows = chance.between(1, CAPACITY);
    long cols = chance.between(1, 40);
    long stride = cols + chance.between(0, 3);
    long bytes = 4 * (rows - 1) * stride + 4 * cols;
    try (Arena arena = Arena.ofConfined();
        CudaLogitsStats stats = CudaLogitsStats.allocate(CAPACITY, DEVICE);
        CudaRowSelector selector = CudaRowSelector.of(rule(chance, arena), DEVICE)) {
      LogitsOptions options = LogitsOptions.allocate(arena);
      survive(() -> describe(chance, options));
      survive(
          () -> {
            long columns = chance.size(cols);
            long count = chance.size(rows);
            long needed = stats.workspaceBytes(options, columns, Math.clamp(count, 0, CAPACITY));
            stats.compute(
                options,
                memory(chance, 0, bytes),
                chance.coin() ? null : memory(chance, 1, bytes),
                chance.size(stride),
                chance.size(rows),
                columns,
                chance.coin() ? null : memory(chance, 2, 4 * rows),
                chance.coin() ? null : memory(chance, 3, 8 * rows),
                count,
                memory(chance, 4, Math.min(1 << 14, needed)),
                stream(chance));
          });
      survive(stats::await);
      survive(
          () ->
              selector.select(
                  stats,
                  chance.coin() ? null : memory(chance, 5, rows),
                  chance.size(rows),
                  memory(chance, 6, 4 * rows),
                  stream(chance)));
      survive(selector::await);
    }
  }

  private static void describe(Chance chance, LogitsOptions options) {
    options
        .type(chance.hostile() ? chance.any(DType.values()) : DType.F32)
        .guidance(chance.number(1))
        .temperature(chance.number(2))
        .drawTemperature(chance.number(chance.coin() ? 0 : 1))
        .topK(chance.hostile() ? (int) chance.between(-2, 5) : 0)
        .topP(chance.hostile() ? chance.number(0.5f) : 1)
        .banned(chance.hostile() ? (int) chance.between(-2, 50) : 0);
  }

  private static RowSelector rule(Chance chance, Arena arena) {
    return switch ((int) chance.between(0, 3)) {
      case 0 -> RowSelector.fixedK(chance.any(Score.values()), chance.size(2), arena);
      case 1 -> RowSelector.threshold(chance.number(0.1f), arena);
      case 2 -> RowSelector.factor(chance.number(0.5f), chance.coin(), arena);
      default -> RowSelector.entropyBound(chance.number(1), arena);
    };
  }
}
