package dev.sylvester.kernels;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.Test;

/** How another engine keeps its keys and values here: its own segments, its own loop. */
class KvExampleTest {
  private static final int LAYERS = 2;
  private static final int QUERY_HEADS = 8;
  private static final int KEY_HEADS = 2;
  private static final int HEAD_DIM = 64;
  private static final int Q = QUERY_HEADS * HEAD_DIM;
  private static final int KV = KEY_HEADS * HEAD_DIM;
  private static final int ROW = Q + 2 * KV;

  /** The engine: for each token and layer a row of query, key and value, rotated already. */
  private static final class Engine {
    final Arena arena;
    final MemorySegment qkv;
    final MemorySegment out;

    Engine(Arena arena, int maxRows) {
      this.arena = arena;
      qkv = arena.allocate(JAVA_FLOAT, (long) maxRows * ROW);
      out = arena.allocate(JAVA_FLOAT, (long) maxRows * Q);
    }

    void project(int layer, int position, int rows) {
      for (int r = 0; r < rows; r++) {
        float[] row = TestData.gaussian(1000L * layer + position + r, ROW);
        MemorySegment.copy(row, 0, qkv, JAVA_FLOAT, (long) r * ROW * Float.BYTES, ROW);
      }
    }
  }

  /** One step of the engine: its projections go into the cache, attention comes out. */
  private static void step(
      Engine engine, KvSequence sequence, int position, int rows, Workspace workspace) {
    MemorySegment q = engine.qkv;
    MemorySegment k = engine.qkv.asSlice((long) Q * Float.BYTES);
    MemorySegment v = engine.qkv.asSlice((long) (Q + KV) * Float.BYTES);
    for (int layer = 0; layer < LAYERS; layer++) {
      engine.project(layer, position, rows);
      sequence.append(layer, k, ROW, v, ROW, rows, null, workspace, null);
      sequence.attend(layer, q, ROW, rows, engine.out, Q, workspace, null);
    }
  }

  @Test
  void anAttentionLoop() {
    KvGeometry geometry = KvGeometry.of(LAYERS, QUERY_HEADS, KEY_HEADS, HEAD_DIM);
    try (Arena arena = Arena.ofConfined();
        Workspace workspace = new Workspace();
        KvPlan plan = KvPlan.of(geometry, KvOptions.preset("quarot", 4).withWindow(32));
        KvCache cache = KvCache.of(plan, KvCacheOptions.ofTokens(256));
        KvSequence prompt = cache.newSequence()) {
      Engine engine = new Engine(arena, 100);
      step(engine, prompt, 0, 100, workspace);
      // Two answers to one prompt share its pages.
      try (KvSequence answer = prompt.fork(100)) {
        for (int token = 100; token < 120; token++) {
          step(engine, answer, token, 1, workspace);
          step(engine, prompt, token, 1, workspace);
        }
        assertThat(answer.length(0)).isEqualTo(120);
        assertThat(answer.attend(0, TestData.gaussian(1, Q)))
            .isEqualTo(prompt.attend(0, TestData.gaussian(1, Q)));
      }
      assertThat(prompt.memory().ratioVsF16()).isGreaterThan(2);
    }
  }
}
