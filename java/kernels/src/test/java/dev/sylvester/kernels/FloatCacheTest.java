package dev.sylvester.kernels;

import static dev.sylvester.kernels.TestData.assertPaddingUntouched;
import static dev.sylvester.kernels.TestData.assertRefused;
import static dev.sylvester.kernels.TestData.blank;
import static dev.sylvester.kernels.TestData.get;
import static dev.sylvester.kernels.TestData.rows;
import static dev.sylvester.kernels.TestData.toArray;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class FloatCacheTest {
  private static final int TOKENS = 75;
  private static final int HEAD_DIM = 16;
  private static final int QUERY_HEADS = 6;
  private static final int KEY_HEADS = 2;
  private static final long QUERY_COLS = QUERY_HEADS * HEAD_DIM;
  private static final long KEY_COLS = KEY_HEADS * HEAD_DIM;
  private static final AttentionShape SHAPE =
      AttentionShape.causal(QUERY_HEADS, KEY_HEADS, HEAD_DIM, TOKENS);

  private final Arena arena = Arena.ofConfined();
  private final Workspace workspace = new Workspace();
  private final MemorySegment q = rows(arena, 1, TOKENS, QUERY_COLS, QUERY_COLS + 1);
  private final MemorySegment k = rows(arena, 2, TOKENS, KEY_COLS, KEY_COLS + 2);
  private final MemorySegment v = rows(arena, 3, TOKENS, KEY_COLS, KEY_COLS + 3);

  @AfterEach
  void free() {
    workspace.close();
    arena.close();
  }

  static Stream<AttentionShape> shapes() {
    return Stream.of(
        SHAPE,
        SHAPE.withCacheType(DType.F32),
        SHAPE.withWindow(20),
        SHAPE.withCausal(false),
        SHAPE.withScale(0.7f).withSoftCap(3));
  }

  @Test
  void usualShapeRoundsTheCapacityUp() {
    assertThat(SHAPE.capacity()).isEqualTo(80);
    assertThat(SHAPE.scale()).isEqualTo(0.25f);
    assertThat(FloatCache.allocate(SHAPE, arena).bytes()).isEqualTo(80 * KEY_COLS * 2 * 2);
  }

  @ParameterizedTest
  @MethodSource("shapes")
  void attentionByDefinition(AttentionShape shape) {
    FloatCache cache = FloatCache.allocate(shape, arena);
    append(cache, 0, TOKENS);
    MemorySegment y = blank(arena, TOKENS, QUERY_COLS, QUERY_COLS + 4);
    cache.attend(q, QUERY_COLS + 1, 0, TOKENS, TOKENS, y, QUERY_COLS + 4, workspace, null);
    assertPaddingUntouched(y, QUERY_COLS, QUERY_COLS + 4);
    for (int token : new int[] {0, 1, 19, 20, 21, 74}) {
      for (int head = 0; head < QUERY_HEADS; head++) {
        double[] expected = attention(shape, token, head);
        for (int i = 0; i < HEAD_DIM; i++) {
          // Scores err by some 1e-6 of their size (about 3), probabilities likewise; values are of
          // size 1.
          assertThat((double) get(y, token * (QUERY_COLS + 4) + head * HEAD_DIM + i))
              .as("%s token %d head %d", shape, token, head)
              .isCloseTo(expected[i], offset(2e-5));
        }
      }
    }
  }

  private double[] attention(AttentionShape shape, int token, int head) {
    int keyHead = head / (QUERY_HEADS / KEY_HEADS);
    int first = shape.window() > 0 ? Math.max(0, token - (int) shape.window() + 1) : 0;
    int last = shape.causal() ? token : TOKENS - 1;
    double sum = 0;
    double[] y = new double[HEAD_DIM];
    for (int j = first; j <= last; j++) {
      double score = 0;
      for (int i = 0; i < HEAD_DIM; i++) {
        score +=
            (double) get(q, token * (QUERY_COLS + 1) + head * HEAD_DIM + i)
                * cached(shape, k, j * (KEY_COLS + 2) + keyHead * HEAD_DIM + i);
      }
      score *= shape.scale();
      if (shape.softCap() > 0) {
        score = shape.softCap() * Math.tanh(score / shape.softCap());
      }
      double p = Math.exp(score);
      sum += p;
      for (int i = 0; i < HEAD_DIM; i++) {
        y[i] += p * cached(shape, v, j * (KEY_COLS + 3) + keyHead * HEAD_DIM + i);
      }
    }
    for (int i = 0; i < HEAD_DIM; i++) {
      y[i] /= sum;
    }
    return y;
  }

  private static float cached(AttentionShape shape, MemorySegment segment, long index) {
    float value = get(segment, index);
    return shape.cacheType() == DType.F16
        ? Float.float16ToFloat(Float.floatToFloat16(value))
        : value;
  }

  @Test
  void aCopyGoesItsOwnWay() {
    FloatCache cache = FloatCache.allocate(SHAPE, arena);
    append(cache, 0, TOKENS);
    MemorySegment want = blank(arena, TOKENS, QUERY_COLS, QUERY_COLS);
    cache.attend(q, QUERY_COLS + 1, 0, TOKENS, TOKENS, want, QUERY_COLS, workspace, null);
    FloatCache copy = cache.copy(arena);
    assertThat(copy.shape()).isEqualTo(SHAPE);
    // The tokens of the other one are another's.
    cache.append(v, KEY_COLS + 3, k, KEY_COLS + 2, 0, TOKENS, null);
    MemorySegment got = blank(arena, TOKENS, QUERY_COLS, QUERY_COLS);
    copy.attend(q, QUERY_COLS + 1, 0, TOKENS, TOKENS, got, QUERY_COLS, workspace, null);
    assertThat(got.mismatch(want)).isEqualTo(-1);
    cache.attend(q, QUERY_COLS + 1, 0, TOKENS, TOKENS, got, QUERY_COLS, workspace, null);
    assertThat(got.mismatch(want)).isNotEqualTo(-1);
  }

  @Test
  void tokenByTokenGivesTheSameBits() {
    FloatCache whole = FloatCache.allocate(SHAPE, arena);
    append(whole, 0, TOKENS);
    MemorySegment expected = blank(arena, TOKENS, QUERY_COLS, QUERY_COLS);
    whole.attend(q, QUERY_COLS + 1, 0, TOKENS, TOKENS, expected, QUERY_COLS, workspace, null);
    FloatCache single = FloatCache.allocate(SHAPE, arena);
    MemorySegment y = blank(arena, TOKENS, QUERY_COLS, QUERY_COLS);
    try (ThreadPool pool = ThreadPool.of(2)) {
      for (int token = 0; token < TOKENS; token++) {
        append(single, token, 1);
        single.attend(
            q.asSlice(token * (QUERY_COLS + 1) * Float.BYTES),
            QUERY_COLS + 1,
            token,
            1,
            token + 1,
            y.asSlice(token * QUERY_COLS * Float.BYTES),
            QUERY_COLS,
            workspace,
            pool);
      }
    }
    assertThat(toArray(y)).isEqualTo(toArray(expected));
  }

  @Test
  void badArgumentsAreRefused() {
    FloatCache cache = FloatCache.allocate(SHAPE, arena);
    MemorySegment y = blank(arena, TOKENS, QUERY_COLS, QUERY_COLS);
    assertRefused(Status.BAD_VALUE, "first is -1", () -> append(cache, -1, 1));
    assertRefused(
        Status.BAD_VALUE,
        "rows is 5, must be 0..4",
        () -> cache.append(k, KEY_COLS, v, KEY_COLS, 76, 5, null));
    assertRefused(
        Status.BAD_SHAPE,
        "k has",
        () -> cache.append(k, KEY_COLS + 3, v, KEY_COLS, 0, TOKENS, null));
    assertRefused(
        Status.BAD_VALUE,
        "tokens is 81",
        () -> cache.attend(q, QUERY_COLS, 0, 1, 81, y, QUERY_COLS, workspace, null));
    assertRefused(
        Status.BAD_SHAPE,
        "first + rows is 6",
        () -> cache.attend(q, QUERY_COLS, 5, 1, 5, y, QUERY_COLS, workspace, null));
    assertRefused(
        Status.OVERLAP,
        "overlap",
        () -> cache.attend(q, QUERY_COLS, 0, 1, 1, q.asSlice(8), QUERY_COLS, workspace, null));
  }

  @Test
  void badShapesAreRefused() {
    assertShapeRefused(Status.BAD_SHAPE, AttentionShape.causal(5, 2, 16, 16));
    assertShapeRefused(Status.BAD_SHAPE, AttentionShape.causal(2, 2, 12, 16));
    assertShapeRefused(Status.BAD_VALUE, SHAPE.withCacheType(DType.Q8_0));
    assertShapeRefused(Status.BAD_VALUE, SHAPE.withScale(Float.NaN));
    assertShapeRefused(Status.BAD_VALUE, SHAPE.withSoftCap(-1));
    assertShapeRefused(Status.BAD_VALUE, SHAPE.withWindow(-1));
    assertShapeRefused(
        Status.BAD_SHAPE, new AttentionShape(DType.F16, 1L << 62, 1, 8, 16, 0, true, 1, 0));
  }

  private void assertShapeRefused(Status status, AttentionShape shape) {
    assertRefused(status, "", () -> FloatCache.allocate(shape, arena));
  }

  private void append(FloatCache cache, int first, int rows) {
    long start = Math.max(first, 0);
    cache.append(
        k.asSlice(start * (KEY_COLS + 2) * Float.BYTES),
        KEY_COLS + 2,
        v.asSlice(start * (KEY_COLS + 3) * Float.BYTES),
        KEY_COLS + 3,
        first,
        rows,
        null);
  }
}
