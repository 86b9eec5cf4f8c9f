package dev.sylvester.kernels;

import static dev.sylvester.kernels.TestData.blank;
import static dev.sylvester.kernels.TestData.floats;
import static dev.sylvester.kernels.TestData.gaussian;
import static dev.sylvester.kernels.TestData.ints;
import static dev.sylvester.kernels.TestData.rows;
import static dev.sylvester.kernels.TestData.weights;
import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import org.junit.jupiter.api.Test;

/** Hot calls allocate nothing on the Java heap once they are compiled. */
class AllocationTest {
  private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();
  private static final int CALLS = 2000;
  private static final int ROUNDS = 100;

  // Shared, as in a model: its segments need the most work of a call.
  private final Arena arena = Arena.ofShared();

  @Test
  void noHotCallAllocates() {
    try (ThreadPool pool = ThreadPool.of(1);
        Workspace workspace = new Workspace()) {
      MemorySegment w = weights(arena, DType.F32, 1, 16, 16);
      Matrix matrix = Matrix.pack(DType.F32, 16, 16, w, arena, pool);
      MemorySegment x = rows(arena, 2, 1, 16, 16);
      MemorySegment y = blank(arena, 1, 16, 16);
      MemorySegment ids = ints(arena, 3);
      assertNoAllocation(
          "multiply", () -> matrix.multiply(x, 16, 1, w, false, y, 16, workspace, pool));
      assertNoAllocation("embed", () -> Nn.embed(DType.F32, w, 16, 16, ids, 1, y, 16));
      assertNoAllocation("rmsNorm", () -> Nn.rmsNorm(x, 16, w, 1e-5f, 1, 16, y, 16, pool));
      assertNoAllocation("swiGlu", () -> Nn.swiGlu(x, 16, x, 16, 1, 16, y, 16, pool));
      Rope rope = Rope.of(RopeScaling.none(10000), 16, arena);
      MemorySegment table = blank(arena, 1, 16, 16);
      assertNoAllocation("table", () -> rope.table(ids, 1, table));
      assertNoAllocation("rotate", () -> rope.rotate(y, 16, 1, 1, 16, false, table, pool));
      FloatCache cache = FloatCache.allocate(AttentionShape.causal(1, 1, 16, 16), arena);
      assertNoAllocation("append", () -> cache.append(x, 16, x, 16, 0, 1, pool));
      assertNoAllocation("attend", () -> cache.attend(x, 16, 0, 1, 1, y, 16, workspace, pool));
      LogitsStats stats = LogitsStats.allocate(1, arena);
      assertNoAllocation("stats", () -> stats.compute(x, 16, 1, 16, pool));
      Sampler sampler =
          Sampler.of(SamplerOptions.GREEDY.withTemperature(1).withTopK(4).withTopP(0.9f), arena);
      MemorySegment bias = floats(arena, gaussian(5, 1));
      assertNoAllocation("sample", () -> sampler.sample(x, 16, ids, 1, ids, bias, 1, 7, workspace));
    } finally {
      arena.close();
    }
  }

  /** At latest after 200,000 calls the compiler has removed the last temporary object. */
  private static void assertNoAllocation(String name, Runnable call) {
    long bytes = Long.MAX_VALUE;
    for (int round = 0; round < ROUNDS && bytes > 0; round++) {
      long before = THREADS.getCurrentThreadAllocatedBytes();
      for (int i = 0; i < CALLS; i++) {
        call.run();
      }
      bytes = THREADS.getCurrentThreadAllocatedBytes() - before;
    }
    assertThat(bytes).as("%s: bytes allocated by %d calls", name, CALLS).isZero();
  }
}
