package dev.sylvester.kernels;

import static dev.sylvester.kernels.KvModel.HEAD_DIM;
import static dev.sylvester.kernels.KvModel.KEY_COLS;
import static dev.sylvester.kernels.KvModel.KEY_HEADS;
import static dev.sylvester.kernels.KvModel.LAYERS;
import static dev.sylvester.kernels.KvModel.QUERY_COLS;
import static dev.sylvester.kernels.KvModel.QUERY_HEADS;
import static dev.sylvester.kernels.KvModel.append;
import static dev.sylvester.kernels.KvModel.part;
import static dev.sylvester.kernels.TestData.assertPaddingUntouched;
import static dev.sylvester.kernels.TestData.assertRefused;
import static dev.sylvester.kernels.TestData.blank;
import static dev.sylvester.kernels.TestData.get;
import static dev.sylvester.kernels.TestData.toArray;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class KvSequenceTest {
  private static final int TOKENS = 300;

  private final Arena arena = Arena.ofConfined();
  private final Workspace workspace = new Workspace();
  private final float[] q = KvModel.rows(1, TOKENS, QUERY_COLS);
  private final float[] k = KvModel.rows(2, TOKENS, KEY_COLS);
  private final float[] v = KvModel.rows(3, TOKENS, KEY_COLS);

  @AfterEach
  void free() {
    workspace.close();
    arena.close();
  }

  static Stream<KvOptions> options() {
    return KvModel.options();
  }

  @ParameterizedTest
  @MethodSource("options")
  void attentionByDefinition(KvOptions options) {
    try (KvCache cache = KvModel.cache(options, TOKENS);
        KvSequence sequence = cache.newSequence()) {
      int length = 0;
      for (int tokens : new int[] {1, 17, 70, TOKENS}) {
        append(sequence, k, v, length, tokens - length);
        length = tokens;
        assertAttention(sequence, tokens);
      }
    }
  }

  @Test
  void slidingWindowsAndCap() {
    KvGeometry geometry =
        KvModel.GEOMETRY.withWindows(List.of(0L, 50L)).withSoftCap(5).withScale(0.4f);
    for (String preset : List.of("best", "rotatekv", "q8")) {
      try (KvPlan plan = KvModel.plan(geometry, KvOptions.preset(preset));
          KvCache cache = KvCache.of(plan, KvCacheOptions.ofTokens(TOKENS));
          KvSequence sequence = cache.newSequence()) {
        append(sequence, k, v, 0, TOKENS);
        assertAttention(sequence, TOKENS);
      }
    }
  }

  /** Rows of any tokens, as many as there are, all see what the newest query sees. */
  @ParameterizedTest
  @MethodSource("options")
  void bidirectionalAttentionByDefinition(KvOptions options) {
    try (KvCache cache = KvModel.cache(options, TOKENS);
        KvSequence sequence = cache.newSequence()) {
      append(sequence, k, v, 0, 170);
      for (int layer = 0; layer < LAYERS; layer++) {
        float[] y = sequence.attendBidirectional(layer, q, 0);
        KvReference reference = new KvReference(sequence, layer);
        for (int row : new int[] {0, 100, TOKENS - 1}) {
          float[] of = part(y, row, 1, QUERY_COLS);
          assertNear(sequence, reference, part(q, row, 1, QUERY_COLS), of);
        }
      }
    }
  }

  /**
   * Nothing is packed, so that R leaves only the rounding to halves of rotated keys and values,
   * which is at most 2^-11 of each: a score is off by that part of scale |q| |k|, all weights by a
   * factor of at most exp(2 e), and a value by 2^-11 of its length. Floats have less to lose.
   */
  @Test
  void unpackedTokensAreReadAsHalves() {
    int tokens = 60;
    double half = 1.1 * 0x1p-11;
    KvOptions options = KvOptions.preset("quarot").withWindow(32);
    try (KvCache cache = KvModel.cache(options, TOKENS);
        KvSequence sequence = cache.newSequence()) {
      append(sequence, k, v, 0, tokens);
      float[] whole = sequence.attendBidirectional(0, part(q, 0, 5, QUERY_COLS), tokens);
      float[] packed = sequence.attendBidirectional(0, part(q, 0, 5, QUERY_COLS), 0);
      for (int row = 0; row < 5; row++) {
        for (int head = 0; head < QUERY_HEADS; head++) {
          int keyHead = head / (QUERY_HEADS / KEY_HEADS);
          double[] weights = new double[tokens];
          double[] y = new double[HEAD_DIM];
          double error = 0;
          double sum = 0;
          double lengths = 0;
          for (int t = 0; t < tokens; t++) {
            double[] query = head(q, row, QUERY_COLS, head);
            double[] key = head(k, t, KEY_COLS, keyHead);
            double score = 0;
            for (int i = 0; i < HEAD_DIM; i++) {
              score += query[i] * key[i];
            }
            double scale = 1 / Math.sqrt(HEAD_DIM);
            weights[t] = Math.exp(score * scale);
            error = Math.max(error, half * scale * KvReference.norm(query) * KvReference.norm(key));
            sum += weights[t];
          }
          for (int t = 0; t < tokens; t++) {
            double[] value = head(v, t, KEY_COLS, keyHead);
            for (int i = 0; i < HEAD_DIM; i++) {
              y[i] += weights[t] / sum * value[i];
            }
            lengths += weights[t] / sum * KvReference.norm(value);
          }
          // A value is not farther from y than both lengths together.
          double bound = Math.expm1(2 * error) * 2 * lengths + half * lengths;
          assertThat(distance(whole, row, head, y)).isLessThanOrEqualTo(bound);
          assertThat(distance(packed, row, head, y)).isGreaterThan(bound);
        }
      }
    }
  }

  private static double[] head(float[] rows, int row, int cols, int head) {
    double[] values = new double[HEAD_DIM];
    for (int i = 0; i < HEAD_DIM; i++) {
      values[i] = rows[row * cols + head * HEAD_DIM + i];
    }
    return values;
  }

  private static double distance(float[] got, int row, int head, double[] want) {
    double[] difference = head(got, row, QUERY_COLS, head);
    for (int i = 0; i < HEAD_DIM; i++) {
      difference[i] -= want[i];
    }
    return KvReference.norm(difference);
  }

  private void assertAttention(KvSequence sequence, int tokens) {
    float[] newest = part(q, tokens - 1, 1, QUERY_COLS);
    for (int layer = 0; layer < LAYERS; layer++) {
      float[] y = sequence.attend(layer, newest);
      assertNear(sequence, new KvReference(sequence, layer), newest, y);
    }
  }

  private static void assertNear(
      KvSequence sequence, KvReference reference, float[] query, float[] y) {
    for (int head = 0; head < QUERY_HEADS; head++) {
      KvReference.Expected expected = reference.attend(query, head);
      assertThat(distance(y, 0, head, expected.y()))
          .as(
              "%s, head %d, of %f",
              sequence.cache().options(), head, KvReference.norm(expected.y()))
          .isLessThanOrEqualTo(expected.bound());
    }
  }

  @Test
  void dequantizedIsNearWhatWasAppended() {
    for (KvOptions options : options().toList()) {
      try (KvCache cache = KvModel.cache(options, TOKENS);
          KvSequence sequence = cache.newSequence()) {
        append(sequence, k, v, 0, TOKENS);
        assertNear(options, k, sequence.dequantize(1, KvSide.KEYS), options.keys().bits());
        assertNear(options, v, sequence.dequantize(1, KvSide.VALUES), options.values().bits());
      }
    }
  }

  // A group of normal numbers has a range of less than 6 deviations, so that a code's step is at
  // most 6 / (2^bits - 1), an eighth of that more or less where scales of 3 fraction bits are
  // rounded
  // (by 1/16 up, 1/17 down), and its error, uniform within a step, is 1 / sqrt(12) of it. A scale
  // rounded down clips the ends of the range by 6/17 at most, a zero by half its unit: two of 16
  // numbers or more. Clipping on purpose errs by less than it saves; means count as deviations.
  private static void assertNear(KvOptions options, float[] exact, float[] actual, int bits) {
    double squares = 0;
    double errors = 0;
    for (int i = 0; i < exact.length; i++) {
      squares += exact[i] * exact[i];
      errors += Math.pow(actual[i] - exact[i], 2);
    }
    double step = 6 * 17.0 / 16 / ((1 << bits) - 1);
    double unit = options.quantizer().integerZero() ? 1 : (1 << bits) / 64.0;
    double clipped = 6.0 / 17 + unit / 2 * step;
    assertThat(Math.sqrt(errors / squares))
        .as("%s", options)
        .isBetween(1e-4, Math.hypot(step / Math.sqrt(12), clipped * Math.sqrt(2.0 / 16)));
  }

  /** Without rotation and mean a number is s (q - unit z), to the bit. */
  @Test
  void codesAreWhatIsDequantized() {
    for (String preset : List.of("q8", "q4")) {
      try (KvCache cache = KvModel.cache(KvOptions.preset(preset), TOKENS);
          KvSequence sequence = cache.newSequence()) {
        append(sequence, k, v, 0, TOKENS);
        for (KvSide side : KvSide.values()) {
          assertCodes(sequence, side, preset.equals("q8") ? 8 : 4);
        }
      }
    }
  }

  private void assertCodes(KvSequence sequence, KvSide side, int bits) {
    int first = 5;
    int count = 200;
    int groups = (int) sequence.groups(side);
    assertThat(groups).isEqualTo(KEY_HEADS);
    MemorySegment codes = arena.allocate(count * KEY_COLS);
    MemorySegment scales = arena.allocate(count * groups);
    MemorySegment zeros = arena.allocate(count * groups);
    sequence.codes(1, side, first, count, codes, null, null);
    sequence.codes(1, side, first, count, null, scales, zeros);
    MemorySegment y = blank(arena, count, KEY_COLS, KEY_COLS + 3);
    sequence.dequantize(1, side, first, count, y, KEY_COLS + 3);
    assertPaddingUntouched(y, KEY_COLS, KEY_COLS + 3);
    double unit = (1 << bits) / 64.0;
    for (int i = 0; i < count * KEY_COLS; i++) {
      int group = i / HEAD_DIM;
      int code = codes.get(JAVA_BYTE, i) & 0xff;
      double expected =
          KvReference.scale(scales.get(JAVA_BYTE, group))
              * (code - unit * zeros.get(JAVA_BYTE, group));
      long place = i / KEY_COLS * (KEY_COLS + 3L) + i % KEY_COLS;
      assertThat((double) get(y, place)).isEqualTo(expected, offset(Math.abs(expected) * 0x1p-23));
    }
  }

  /** Those of sorted channels do not begin anew with each head. */
  @Test
  void groupsOfAToken() {
    KvOptions options = KvOptions.preset("rotatekv").withGroup(48).withSinks(0, 0);
    try (KvCache cache = KvModel.cache(options, TOKENS);
        KvSequence sequence = cache.newSequence()) {
      append(sequence, k, v, 0, 10);
      assertThat(sequence.groups(KvSide.KEYS)).isEqualTo(KEY_COLS / 48);
      assertThat(sequence.groups(KvSide.VALUES)).isEqualTo(KEY_HEADS);
      for (KvSide side : KvSide.values()) {
        MemorySegment scales = arena.allocate(10 * sequence.groups(side));
        sequence.codes(0, side, 0, 10, null, scales, null);
        assertThat(scales.toArray(JAVA_BYTE)).doesNotContain((byte) 0);
      }
    }
  }

  @ParameterizedTest
  @MethodSource("options")
  void anyCutOfATextGivesTheSame(KvOptions options) {
    try (KvCache cache = KvModel.cache(options, 2 * TOKENS);
        KvSequence whole = cache.newSequence();
        KvSequence pieces = cache.newSequence();
        ThreadPool pool = ThreadPool.of(3)) {
      append(whole, k, v, 0, TOKENS);
      MemorySegment queries = TestData.floats(arena, q);
      MemorySegment y = blank(arena, TOKENS, QUERY_COLS, QUERY_COLS + 1);
      whole.attend(1, queries, QUERY_COLS, TOKENS, y, QUERY_COLS + 1, workspace, pool);
      assertPaddingUntouched(y, QUERY_COLS, QUERY_COLS + 1);
      int length = 0;
      for (int rows : new int[] {1, 1, 14, 16, 33, 100, 1, 134}) {
        append(pieces, k, v, length, rows);
        float[] part = pieces.attend(1, part(q, length, rows, QUERY_COLS));
        for (int i = 0; i < part.length; i++) {
          long place = (length + i / QUERY_COLS) * (QUERY_COLS + 1L) + i % QUERY_COLS;
          assertThat(part[i]).as("%s, row %d", options, place).isEqualTo(get(y, place));
        }
        length += rows;
      }
      assertSame(whole, pieces);
    }
  }

  @ParameterizedTest
  @MethodSource("options")
  void batchGivesWhatSinglesGive(KvOptions options) {
    int[] rows = {40, 0, 1, 131};
    long[] counts = {40, 0, 1, 131};
    try (KvCache cache = KvModel.cache(options, 4 * TOKENS);
        ThreadPool pool = ThreadPool.of(2)) {
      List<KvSequence> singles = Stream.generate(cache::newSequence).limit(rows.length).toList();
      List<KvSequence> together = Stream.generate(cache::newSequence).limit(rows.length).toList();
      KvBatch batch = KvBatch.of(together);
      MemorySegment keys = TestData.floats(arena, k);
      MemorySegment values = TestData.floats(arena, v);
      MemorySegment queries = TestData.floats(arena, q);
      MemorySegment y = blank(arena, TOKENS, QUERY_COLS, QUERY_COLS);
      for (int round = 0; round < 2; round++) {
        for (int layer = 0; layer < LAYERS; layer++) {
          batch.append(layer, counts, keys, KEY_COLS, values, KEY_COLS, null, workspace, pool);
          batch.attend(layer, counts, queries, QUERY_COLS, y, QUERY_COLS, workspace, pool);
        }
        float[] all = toArray(y);
        long[] unpacked = new long[rows.length];
        for (int i = 0; i < rows.length; i++) {
          unpacked[i] = options.window() > 0 ? rows[i] / 2 : 0;
        }
        batch.attendBidirectional(
            1, counts, unpacked, queries, QUERY_COLS, y, QUERY_COLS, workspace, pool);
        float[] allSeeing = toArray(y);
        int first = 0;
        for (int i = 0; i < rows.length; i++) {
          append(singles.get(i), k, v, first, rows[i]);
          if (rows[i] > 0) {
            assertThat(part(all, first, rows[i], QUERY_COLS))
                .as("%s, sequence %d", options, i)
                .isEqualTo(singles.get(i).attend(1, part(q, first, rows[i], QUERY_COLS)));
            float[] of = part(q, first, rows[i], QUERY_COLS);
            assertThat(part(allSeeing, first, rows[i], QUERY_COLS))
                .as("%s, sequence %d", options, i)
                .isEqualTo(singles.get(i).attendBidirectional(1, of, unpacked[i]));
          }
          first += rows[i];
          assertSame(singles.get(i), together.get(i));
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("options")
  void forkTruncateAndAppendAgain(KvOptions options) {
    float[] otherK = KvModel.rows(4, TOKENS, KEY_COLS);
    float[] otherV = KvModel.rows(5, TOKENS, KEY_COLS);
    try (KvCache cache = KvModel.cache(options, 4 * TOKENS);
        KvSequence original = cache.newSequence();
        KvSequence fresh = cache.newSequence();
        KvSequence freshOther = cache.newSequence()) {
      append(original, k, v, 0, 200);
      int cut = (int) Math.max(original.truncatable(), 107);
      try (KvSequence fork = original.fork(cut)) {
        assertThat(fork.length(0)).isEqualTo(cut);
        assertThat(fork.cache()).isSameAs(cache);
        append(fork, otherK, otherV, cut, 60);
        append(original, k, v, 200, 100);
        append(fresh, k, v, 0, TOKENS);
        append(freshOther, k, v, 0, cut);
        append(freshOther, otherK, otherV, cut, 60);
        assertSame(fresh, original);
        assertSame(freshOther, fork);
        cut = (int) Math.max(fork.truncatable(), cut + 30);
        fork.truncate(cut);
        assertThat(fork.length(LAYERS - 1)).isEqualTo(cut);
        append(fork, otherK, otherV, cut, (int) (freshOther.length(0) - cut));
        assertSame(freshOther, fork);
      }
      original.truncate(0);
      append(original, k, v, 0, TOKENS);
      assertSame(fresh, original);
    }
  }

  /** The same saved bytes, which are all there is, and the same attention. */
  private void assertSame(KvSequence expected, KvSequence actual) {
    long length = expected.length(0);
    assertThat(actual.length(0)).isEqualTo(length);
    MemorySegment bytes = expected.save(arena);
    assertThat(bytes.mismatch(actual.save(arena)))
        .as("%s, bytes that differ", actual.cache().options())
        .isEqualTo(-1);
    if (length > 0) {
      float[] newest = part(q, 0, 1, QUERY_COLS);
      assertThat(actual.attend(0, newest)).isEqualTo(expected.attend(0, newest));
    }
  }

  /** Moving up changes no bytes, and attention sees the keys at their new positions. */
  @Test
  void removedTokensAreGone() {
    KvOptions options = KvOptions.preset("rotatekv", 4);
    try (KvCache cache = KvModel.cache(options, TOKENS);
        KvSequence sequence = cache.newSequence()) {
      append(sequence, k, v, 0, TOKENS);
      float[] keys = sequence.dequantize(1, KvSide.KEYS);
      sequence.remove(32, 64);
      int left = TOKENS - 64;
      assertThat(sequence.length(0)).isEqualTo(left);
      float[] shorter = sequence.dequantize(1, KvSide.KEYS);
      assertThat(part(shorter, 0, 32, KEY_COLS)).isEqualTo(part(keys, 0, 32, KEY_COLS));
      assertThat(part(shorter, 32, left - 32, KEY_COLS))
          .isEqualTo(part(keys, 96, left - 32, KEY_COLS));
      assertAttention(sequence, left);
      assertRefused(Status.BAD_VALUE, "first", () -> sequence.remove(8, 16));
    }
    try (KvCache cache = KvModel.cache(KvOptions.preset("quarot"), TOKENS);
        KvSequence sequence = cache.newSequence()) {
      append(sequence, k, v, 0, TOKENS);
      assertRefused(Status.UNSUPPORTED, "syl_kv_remove", () -> sequence.remove(32, 64));
    }
  }

  @Test
  void sinksAreKeptAsHalves() {
    KvOptions options = KvOptions.preset("rotatekv").withSinks(0, 3);
    int rows = 64;
    float[] hidden = TestData.gaussian(6, rows * 8);
    hidden[10 * 8 + 3] = 50;
    hidden[33 * 8] = -60;
    MemorySegment sinks = arena.allocate(rows);
    KvSequence.findSinks(TestData.floats(arena, hidden), 8, rows, 8, 2, sinks);
    try (KvCache cache = KvModel.cache(options, rows);
        KvSequence sequence = cache.newSequence()) {
      MemorySegment keys = TestData.floats(arena, part(k, 0, rows, KEY_COLS));
      MemorySegment values = TestData.floats(arena, part(v, 0, rows, KEY_COLS));
      for (int layer = 0; layer < LAYERS; layer++) {
        sequence.append(layer, keys, KEY_COLS, values, KEY_COLS, rows, sinks, workspace, null);
      }
      assertThat(sequence.memory().sinkTokens()).isEqualTo(2);
      float[] kept = sequence.dequantize(1, KvSide.KEYS);
      for (int t = 0; t < rows; t++) {
        boolean isSink = t == 10 || t == 33;
        assertThat(sinks.get(JAVA_BYTE, t)).isEqualTo((byte) (isSink ? 1 : 0));
        double worst = 0;
        for (int i = t * KEY_COLS; i < (t + 1) * KEY_COLS; i++) {
          worst = Math.max(worst, Math.abs(kept[i] - k[i]) / Math.max(1, Math.abs(k[i])));
        }
        // Rounded to a half, rotated or not; two bits err by more.
        assertThat(worst < 0x1p-9).as("token %d errs by %f", t, worst).isEqualTo(isSink);
      }
      sinks.fill((byte) 1);
      long length = sequence.length(0);
      assertRefused(
          Status.BAD_VALUE,
          "sinks",
          () -> sequence.append(0, keys, KEY_COLS, values, KEY_COLS, rows, sinks, workspace, null));
      assertThat(sequence.length(0)).isEqualTo(length);
    }
  }

  @Test
  void memoryAddsUp() {
    try (KvCache cache = KvModel.cache(KvOptions.preset("best"), TOKENS);
        KvSequence sequence = cache.newSequence()) {
      append(sequence, k, v, 0, TOKENS);
      KvMemory memory = sequence.memory();
      assertThat(memory.tokens()).isEqualTo(TOKENS);
      // Tiles before tile floor(n / 16) - w / 16 + 1.
      assertThat(memory.packedTokens()).isEqualTo((TOKENS / 16 - 32 / 16 + 1) * 16);
      assertThat(memory.sinkTokens()).isEqualTo(4);
      assertThat(memory.codesBytes())
          .isEqualTo(memory.packedTokens() * LAYERS * 2 * KEY_COLS * 2 / 8);
      assertThat(memory.paramsBytes())
          .isEqualTo(memory.packedTokens() * LAYERS * 2 * KEY_HEADS * 2);
      assertThat(memory.totalBytes())
          .isEqualTo(
              memory.codesBytes()
                  + memory.paramsBytes()
                  + memory.sinkBytes()
                  + memory.windowBytes()
                  + memory.tableBytes()
                  + memory.slackBytes());
      assertThat(memory.ratioVsF16()).isBetween(3.0, 8.0);
    }
  }

  @Test
  void badArgumentsAreRefusedAndChangeNothing() {
    try (KvCache cache = KvModel.cache(KvOptions.preset("best"), TOKENS);
        KvSequence sequence = cache.newSequence()) {
      append(sequence, k, v, 0, 100);
      MemorySegment before = sequence.save(arena);
      float[] bad = part(k, 0, 3, KEY_COLS);
      bad[KEY_COLS + 7] = Float.NaN;
      float[] good = part(v, 0, 3, KEY_COLS);
      assertRefused(Status.BAD_DATA, "k[1][7]", () -> sequence.append(0, bad, good));
      assertRefused(Status.BAD_DATA, "v[1][7]", () -> sequence.append(0, good, bad));
      assertRefused(Status.BAD_VALUE, "layer", () -> sequence.append(LAYERS, good, good));
      assertRefused(Status.BAD_VALUE, "layer", () -> sequence.append(-1, good, good));
      assertRefused(
          Status.BAD_SHAPE, "v has", () -> sequence.append(0, good, part(v, 0, 2, KEY_COLS)));
      assertRefused(
          Status.BAD_SHAPE, "not rows of", () -> sequence.append(0, new float[7], new float[7]));
      assertRefused(Status.NULL_ARGUMENT, "k is null", () -> sequence.append(0, null, good));
      assertRefused(Status.BAD_VALUE, "", () -> sequence.attend(0, part(q, 0, 101, QUERY_COLS)));
      float[] queries = part(q, 0, 101, QUERY_COLS);
      assertThat(sequence.attendBidirectional(0, queries, 0)).hasSize(queries.length);
      assertRefused(
          Status.BAD_VALUE,
          "unpacked[0] is 101, must be 0..100 for the sequence's 100 tokens",
          () -> sequence.attendBidirectional(0, queries, 101));
      assertRefused(
          Status.BAD_VALUE,
          "unpacked[0] is -1",
          () -> sequence.attendBidirectional(0, queries, -1));
      KvBatch batch = KvBatch.of(List.of(sequence));
      MemorySegment row = TestData.floats(arena, part(q, 0, 1, QUERY_COLS));
      MemorySegment out = arena.allocate(4L * QUERY_COLS);
      for (long[] counts : new long[][] {null, {}, {0, 0}}) {
        assertRefused(
            counts == null ? Status.NULL_ARGUMENT : Status.BAD_SHAPE,
            "unpacked",
            () ->
                batch.attendBidirectional(
                    0, new long[1], counts, row, QUERY_COLS, out, QUERY_COLS, workspace, null));
      }
      assertRefused(Status.BAD_VALUE, "tokens", () -> sequence.truncate(101));
      assertRefused(Status.BAD_VALUE, "tokens", () -> sequence.truncate(-1));
      assertRefused(Status.BAD_VALUE, "tokens", () -> sequence.fork(101));
      MemorySegment codes = arena.allocate(100 * KEY_COLS);
      assertRefused(
          Status.BAD_VALUE, "", () -> sequence.codes(0, KvSide.KEYS, 0, 100, codes, null, null));
      assertRefused(
          Status.BAD_SHAPE,
          "zeros has 99 bytes",
          () -> sequence.codes(0, KvSide.KEYS, 0, 64, codes, null, codes.asSlice(0, 99)));
      assertRefused(Status.NULL_ARGUMENT, "side is null", () -> sequence.dequantize(0, null));
      assertThat(before.mismatch(sequence.save(arena))).isEqualTo(-1);
    }
  }

  @Test
  void layersOfDifferentLengthsAreRefused() {
    try (KvCache cache = KvModel.cache(KvOptions.preset("q8"), TOKENS);
        KvSequence sequence = cache.newSequence()) {
      sequence.append(0, part(k, 0, 5, KEY_COLS), part(v, 0, 5, KEY_COLS));
      assertThat(sequence.length(0)).isEqualTo(5);
      assertThat(sequence.length(1)).isZero();
      assertRefused(Status.BAD_VALUE, "", () -> sequence.truncate(3));
      assertRefused(Status.BAD_VALUE, "", () -> sequence.fork(3));
      assertRefused(Status.BAD_VALUE, "", () -> sequence.save(arena));
      assertRefused(Status.BAD_VALUE, "tokens is 6", () -> sequence.truncate(0, 6));
      assertRefused(Status.BAD_VALUE, "layer", () -> sequence.truncate(LAYERS, 0));
      sequence.truncate(0, 3);
      assertThat(sequence.length(0)).isEqualTo(3);
      sequence.truncate(0, 0);
      assertThat(sequence.truncatable()).isZero();
    }
  }

  @Test
  void batchesAreChecked() {
    try (KvCache cache = KvModel.cache(KvOptions.preset("q4"), TOKENS);
        KvCache other = KvModel.cache(KvOptions.preset("q4"), TOKENS)) {
      KvSequence a = cache.newSequence();
      KvSequence b = cache.newSequence();
      KvSequence c = other.newSequence();
      assertRefused(Status.BAD_VALUE, "twice", () -> KvBatch.of(List.of(a, b, a)));
      assertRefused(Status.BAD_VALUE, "several caches", () -> KvBatch.of(List.of(a, c)));
      assertRefused(Status.BAD_VALUE, "sequences is 0", () -> KvBatch.of(List.of()));
      assertRefused(Status.NULL_ARGUMENT, "sequences", () -> KvBatch.of(null));
      KvBatch batch = KvBatch.of(List.of(a, b));
      MemorySegment x = TestData.floats(arena, part(k, 0, 3, KEY_COLS));
      assertRefused(
          Status.BAD_SHAPE,
          "rows has 1 numbers for 2 sequences",
          () -> batch.append(0, new long[] {3}, x, KEY_COLS, x, KEY_COLS, null, workspace, null));
      assertRefused(
          Status.BAD_SHAPE,
          "k has",
          () ->
              batch.append(0, new long[] {2, 2}, x, KEY_COLS, x, KEY_COLS, null, workspace, null));
      assertRefused(
          Status.BAD_VALUE,
          "rows is -1",
          () ->
              batch.append(0, new long[] {4, -1}, x, KEY_COLS, x, KEY_COLS, null, workspace, null));
      assertRefused(
          Status.BAD_VALUE,
          "rows is 2",
          () ->
              batch.append(
                  0,
                  new long[] {Long.MAX_VALUE, 2},
                  x,
                  KEY_COLS,
                  x,
                  KEY_COLS,
                  null,
                  workspace,
                  null));
    }
  }
}
