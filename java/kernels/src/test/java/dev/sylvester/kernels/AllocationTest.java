package dev.sylvester.kernels;

import static dev.sylvester.kernels.TestData.blank;
import static dev.sylvester.kernels.TestData.floats;
import static dev.sylvester.kernels.TestData.ints;
import static dev.sylvester.kernels.TestData.rows;
import static dev.sylvester.kernels.TestData.weights;
import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Hot calls allocate nothing on the Java heap once they are compiled. */
@Tag("own-process")
public class AllocationTest {
  private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();
  private static final int CALLS = 2000;
  private static final int ROUNDS = 10_000;

  // Shared, as in a model: its segments need the most work of a call.
  private final Arena arena = Arena.ofShared();
  private final ThreadPool pool = ThreadPool.of(1);
  private final Workspace workspace = new Workspace();
  private final MemorySegment x = rows(arena, 2, 1, 16, 16);
  private final MemorySegment y = blank(arena, 1, 16, 16);
  private final MemorySegment ids = ints(arena, 3);

  @AfterEach
  void free() {
    workspace.close();
    pool.close();
    arena.close();
  }

  @Test
  void matrix() {
    MemorySegment w = weights(arena, DType.F32, 1, 16, 16);
    Matrix matrix = Matrix.pack(DType.F32, 16, 16, w, arena, pool);
    assertNoAllocation(() -> matrix.multiply(x, 16, 1, w, false, y, 16, workspace, pool));
  }

  @Test
  void rowFunctions() {
    MemorySegment w = weights(arena, DType.F32, 1, 16, 16);
    assertNoAllocation(() -> Nn.embed(DType.F32, w, 16, 16, ids, 1, y, 16));
    assertNoAllocation(() -> Nn.rmsNorm(x, 16, w, 1e-5f, 1, 16, y, 16, pool));
    assertNoAllocation(() -> Nn.swiGlu(x, 16, x, 16, 1, 16, y, 16, pool));
  }

  @Test
  void acceptanceHead() {
    AcceptanceHead.Shape shape = new AcceptanceHead.Shape(16, 1, false);
    MemorySegment parameters = blank(arena, 1, shape.parameters(), shape.parameters());
    AcceptanceHead head = AcceptanceHead.of(shape, parameters, 0, 1, arena);
    assertNoAllocation(() -> head.accept(x, workspace, pool));
  }

  @Test
  void rope() {
    Rope rope = Rope.of(RopeScaling.none(10000), 16, arena);
    MemorySegment table = blank(arena, 1, 16, 16);
    assertNoAllocation(() -> rope.table(ids, 1, table));
    assertNoAllocation(() -> rope.rotate(y, 16, 1, 1, 16, false, table, pool));
  }

  @Test
  void floatCache() {
    FloatCache cache = FloatCache.allocate(AttentionShape.causal(1, 1, 16, 16), arena);
    assertNoAllocation(() -> cache.append(x, 16, x, 16, 0, 1, pool));
    assertNoAllocation(() -> cache.attend(x, 16, 0, 1, 1, y, 16, workspace, pool));
  }

  @Test
  void keyValueCache() {
    KvGeometry geometry = KvGeometry.of(1, 1, 1, 16);
    try (KvPlan plan = KvPlan.of(geometry, KvOptions.preset("quarot"));
        KvCache cache = KvCache.of(plan, KvCacheOptions.ofTokens(1024))) {
      KvSequence one = cache.newSequence();
      KvSequence two = cache.newSequence();
      KvBatch batch = KvBatch.of(List.of(one, two));
      long[] rows = {1, 0};
      assertNoAllocation(
          () -> {
            one.append(0, x, 16, x, 16, 1, null, workspace, pool);
            one.attend(0, x, 16, 1, y, 16, workspace, pool);
            batch.append(0, rows, x, 16, x, 16, null, workspace, pool);
            batch.attend(0, rows, x, 16, y, 16, workspace, pool);
            one.truncate(0);
          });
    }
  }

  @Test
  void logits() {
    LogitsStats stats = LogitsStats.allocate(1, arena);
    assertNoAllocation(() -> stats.compute(x, 16, 1, 16, pool));
    LogitsOptions options = LogitsOptions.allocate(arena).drawTemperature(1);
    assertNoAllocation(
        () -> stats.compute(options.step(1), x, null, 16, 1, 16, null, null, 1, pool));
    Sampler sampler =
        Sampler.of(SamplerOptions.GREEDY.withTemperature(1).withTopK(4).withTopP(0.9f), arena);
    MemorySegment bias = floats(arena, 0.5f);
    assertNoAllocation(() -> sampler.sample(x, 16, ids, 1, ids, bias, 1, 7, workspace));
  }

  @Test
  void verification() {
    Sampler sampler = Sampler.of(SamplerOptions.GREEDY.withTemperature(1).withTopP(0.9f), arena);
    Verifier verifier = Verifier.allocate(2, 8, arena);
    MemorySegment rows = rows(arena, 2, 8, 16, 16);
    int[] candidates = {3, 9, 4};
    long[] counts = {1, 0};
    float[] logQ = new float[8];
    assertNoAllocation(
        () -> {
          verifier.begin(SpecMode.TOKEN, 16);
          verifier.add(sampler, 5, candidates, 3);
          verifier.add(sampler, 7, candidates, 2);
          verifier.logits(rows, 16);
          verifier.history(ids, counts);
          verifier.bias(ids, x, counts);
          verifier.endTokens(ids, 1);
          verifier.draft().logits(rows, 16, 16);
          verifier.draft().logProbabilities(logQ);
          verifier.verify(workspace, pool);
        });
  }

  @Test
  void hadamard() {
    Hadamard plan = Hadamard.of(16).signs(1).build();
    assertNoAllocation(() -> plan.apply(x, y, 0, 1, workspace, pool));
    assertNoAllocation(() -> plan.applyTransposed(y, y));
    Hadamard codes = Hadamard.of(16).quantizer(HadamardOptions.Quantizer.I8).build();
    assertNoAllocation(() -> codes.quantize(x, y, ids, null, 0, 1, workspace, pool));
    assertNoAllocation(() -> Hadamard.transform(DType.F32, y, 1, 16, 16, 0, pool));
  }

  @Test
  void hadamardOfArrays() {
    Hadamard plan = Hadamard.of(16).signs(1).build();
    float[] from = new float[16];
    float[] to = new float[16];
    assertNoAllocation(() -> plan.apply(from, to));
    assertNoAllocation(() -> plan.applyTransposed(to, to));
    assertNoAllocation(() -> Hadamard.transform(to, 16));
  }

  /** The compiler, which works beside the calls, has removed the last temporary object in time. */
  public static void assertNoAllocation(Runnable call) {
    long bytes = Long.MAX_VALUE;
    for (int round = 0; round < ROUNDS && bytes > 0; round++) {
      long before = THREADS.getCurrentThreadAllocatedBytes();
      for (int i = 0; i < CALLS; i++) {
        call.run();
      }
      bytes = THREADS.getCurrentThreadAllocatedBytes() - before;
    }
    assertThat(bytes).as("bytes allocated by %d calls", CALLS).isZero();
  }
}
