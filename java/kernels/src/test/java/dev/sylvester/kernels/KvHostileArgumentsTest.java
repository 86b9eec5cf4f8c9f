package dev.sylvester.kernels;

import static dev.sylvester.kernels.KvModel.GEOMETRY;
import static dev.sylvester.kernels.KvModel.KEY_COLS;
import static dev.sylvester.kernels.KvModel.QUERY_COLS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import dev.sylvester.kernels.KvCoding.Rotation;
import dev.sylvester.kernels.KvOptions.LayerBits;
import dev.sylvester.kernels.KvQuantizer.ClipMode;
import dev.sylvester.kernels.KvQuantizer.Grid;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import net.jqwik.api.EdgeCasesMode;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.ShrinkingMode;

class KvHostileArgumentsTest extends HostileCalls {
  private static final Workspace WORKSPACE = new Workspace();
  private static final KvOptions[] OPTIONS = KvModel.options().toArray(KvOptions[]::new);
  private static final KvCache[] CACHES =
      KvModel.options().map(options -> KvModel.cache(options, 200)).toArray(KvCache[]::new);
  private static final Arena ARENA = Arena.ofShared();
  private static final MemorySegment[] SAVED =
      Arrays.stream(CACHES).map(KvHostileArgumentsTest::saved).toArray(MemorySegment[]::new);
  private static final byte[][] PLANS =
      Arrays.stream(OPTIONS).map(KvHostileArgumentsTest::plan).toArray(byte[][]::new);

  private static MemorySegment saved(KvCache cache) {
    try (KvSequence sequence = cache.newSequence()) {
      KvModel.append(sequence, KvModel.rows(1, 40, KEY_COLS), KvModel.rows(2, 40, KEY_COLS), 0, 40);
      return sequence.save(ARENA);
    }
  }

  private static byte[] plan(KvOptions options) {
    try (KvPlan plan = KvModel.plan(options)) {
      return plan.toBytes();
    }
  }

  @Property(
      tries = TRIES,
      seed = "1",
      edgeCases = EdgeCasesMode.NONE,
      shrinking = ShrinkingMode.OFF)
  void appendAndAttend(@ForAll long seed) {
    Chance chance = new Chance(seed);
    KvCache cache = chance.any(CACHES);
    int rows = (int) chance.between(1, 20);
    long stride = QUERY_COLS + chance.between(0, 3);
    MemorySegment k = chance.finite(rows, KEY_COLS, stride);
    MemorySegment v = chance.finite(rows, KEY_COLS, stride);
    MemorySegment sinks = chance.coin() ? null : chance.segment(rows);
    MemorySegment y = chance.finite(rows, QUERY_COLS, stride);
    try (KvSequence sequence = cache.newSequence();
        Arena arena = Arena.ofConfined()) {
      MemorySegment q = KvModel.segment(arena, 3, rows, QUERY_COLS);
      int layer = (int) chance.size(chance.between(0, 1));
      survive(
          () ->
              sequence.append(
                  layer,
                  k,
                  chance.size(stride),
                  v,
                  chance.size(stride),
                  chance.size(rows),
                  sinks,
                  chance.hostile() ? null : WORKSPACE,
                  pool(chance)));
      survive(
          () ->
              sequence.attend(
                  layer,
                  q,
                  chance.size(QUERY_COLS),
                  chance.size(rows),
                  y,
                  chance.size(stride),
                  chance.hostile() ? null : WORKSPACE,
                  pool(chance)));
      survive(
          () ->
              sequence.attendBidirectional(
                  layer,
                  q,
                  chance.size(QUERY_COLS),
                  chance.size(rows),
                  chance.size(0),
                  y,
                  chance.size(stride),
                  chance.hostile() ? null : WORKSPACE,
                  pool(chance)));
    }
  }

  @Property(
      tries = TRIES,
      seed = "2",
      edgeCases = EdgeCasesMode.NONE,
      shrinking = ShrinkingMode.OFF)
  void batch(@ForAll long seed) {
    Chance chance = new Chance(seed);
    KvCache cache = chance.any(CACHES);
    long stride = QUERY_COLS + chance.between(0, 3);
    long[] rows = {chance.between(0, 9), chance.between(0, 9)};
    int total = (int) (rows[0] + rows[1]);
    MemorySegment k = chance.finite(Math.max(total, 1), KEY_COLS, stride);
    MemorySegment v = chance.finite(Math.max(total, 1), KEY_COLS, stride);
    MemorySegment y = chance.finite(Math.max(total, 1), QUERY_COLS, stride);
    try (KvSequence a = cache.newSequence();
        KvSequence b = cache.newSequence();
        Arena arena = Arena.ofConfined()) {
      MemorySegment q = KvModel.segment(arena, 3, total + 1, QUERY_COLS);
      KvBatch batch = KvBatch.of(List.of(a, b));
      survive(
          () ->
              batch.append(
                  (int) chance.size(1),
                  rows(chance, rows),
                  k,
                  chance.size(stride),
                  v,
                  chance.size(stride),
                  null,
                  WORKSPACE,
                  pool(chance)));
      if (chance.hostile()) {
        close(b);
      }
      survive(
          () ->
              batch.attend(
                  1,
                  rows(chance, rows),
                  q,
                  chance.size(QUERY_COLS),
                  y,
                  chance.size(stride),
                  WORKSPACE,
                  pool(chance)));
      survive(
          () ->
              batch.attendBidirectional(
                  1,
                  rows(chance, rows),
                  rows(chance, new long[2]),
                  q,
                  chance.size(QUERY_COLS),
                  y,
                  chance.size(stride),
                  WORKSPACE,
                  pool(chance)));
    }
  }

  private static void close(KvSequence sequence) {
    sequence.close();
  }

  private static long[] rows(Chance chance, long[] good) {
    if (chance.hostile()) {
      return chance.any(null, new long[0], new long[1], new long[3]);
    }
    return new long[] {chance.size(good[0]), chance.size(good[1])};
  }

  @Property(
      tries = TRIES,
      seed = "3",
      edgeCases = EdgeCasesMode.NONE,
      shrinking = ShrinkingMode.OFF)
  void sequence(@ForAll long seed) {
    Chance chance = new Chance(seed);
    int which = (int) chance.between(0, CACHES.length - 1);
    try (KvSequence sequence = CACHES[which].load(SAVED[which])) {
      int layer = (int) chance.size(1);
      KvSide side = chance.any(KvSide.KEYS, KvSide.VALUES);
      int first = (int) chance.between(0, 8);
      int count = (int) chance.between(1, 8);
      long groups = sequence.groups(side);
      MemorySegment y = chance.finite(count, KEY_COLS, KEY_COLS);
      MemorySegment codes = chance.segment((long) count * KEY_COLS);
      MemorySegment scales = chance.segment(count * groups);
      MemorySegment zeros = chance.segment(count * groups);
      survive(
          () ->
              sequence.dequantize(
                  layer, side, chance.size(first), chance.size(count), y, chance.size(KEY_COLS)));
      survive(
          () ->
              sequence.codes(
                  layer,
                  side,
                  chance.size(first),
                  chance.size(count),
                  codes,
                  chance.any(scales, null),
                  zeros));
      survive(() -> sequence.remove(chance.size(16), chance.size(16)));
      survive(() -> sequence.fork(chance.size(chance.between(0, 40))).close());
      survive(() -> sequence.truncate(chance.size(chance.between(0, 40))));
      survive(() -> sequence.length(layer));
    }
  }

  @Property(
      tries = TRIES,
      seed = "4",
      edgeCases = EdgeCasesMode.NONE,
      shrinking = ShrinkingMode.OFF)
  void findSinks(@ForAll long seed) {
    Chance chance = new Chance(seed);
    long rows = chance.between(1, 9);
    long cols = chance.between(1, 70);
    long stride = cols + chance.between(0, 3);
    MemorySegment hidden = chance.finite(rows, cols, stride);
    MemorySegment sinks = chance.segment(rows);
    survive(
        () ->
            KvSequence.findSinks(
                hidden,
                chance.size(stride),
                chance.size(rows),
                chance.size(cols),
                chance.size(chance.between(0, rows)),
                sinks));
  }

  @Property(
      tries = TRIES,
      seed = "5",
      edgeCases = EdgeCasesMode.NONE,
      shrinking = ShrinkingMode.OFF)
  void calibration(@ForAll long seed) {
    Chance chance = new Chance(seed);
    int rows = (int) chance.between(1, 9);
    long stride = KEY_COLS + chance.between(0, 3);
    MemorySegment k = chance.finite(rows, KEY_COLS, stride);
    MemorySegment v = chance.finite(rows, KEY_COLS, stride);
    try (KvCalibration calibration = KvCalibration.of(GEOMETRY)) {
      survive(
          () ->
              calibration.add(
                  (int) chance.size(1),
                  k,
                  chance.size(stride),
                  v,
                  chance.size(stride),
                  chance.size(rows)));
      long queryStride = QUERY_COLS + chance.between(0, 3);
      MemorySegment q = chance.finite(rows, QUERY_COLS, queryStride);
      survive(
          () ->
              calibration.addQueries(
                  (int) chance.size(1), q, chance.size(queryStride), chance.size(rows)));
    }
  }

  @Property(
      tries = TRIES,
      seed = "6",
      edgeCases = EdgeCasesMode.NONE,
      shrinking = ShrinkingMode.OFF)
  void plan(@ForAll long seed) {
    Chance chance = new Chance(seed);
    int layers = (int) chance.between(1, 4);
    int heads = (int) chance.between(1, 4);
    int headDim = 16 * (int) chance.between(1, 8);
    KvGeometry geometry =
        new KvGeometry(
            (int) chance.size(layers),
            chance.size(2 * heads),
            chance.size(heads),
            chance.size(headDim),
            chance.number(1),
            chance.number(0),
            chance.coin() ? List.of() : Collections.nCopies(layers, chance.size(0)),
            Collections.nCopies(headDim / 2, (double) chance.number(1)),
            chance.number(1),
            chance.coin());
    boolean preRope = chance.coin();
    KvOptions options =
        new KvOptions(
            preRope,
            coding(chance, preRope),
            coding(chance, false),
            (int) chance.size(0),
            preRope && chance.hostile(),
            !preRope && chance.hostile(),
            new KvQuantizer(
                chance.any(Grid.values()), chance.any(ClipMode.values()), chance.coin()),
            (int) chance.size(4),
            (int) chance.size(5),
            (int) chance.size(32),
            chance.coin()
                ? List.of()
                : Collections.nCopies(
                    layers, new LayerBits((int) chance.size(2), (int) chance.size(3))));
    survive(
        () -> {
          try (KvPlan plan = KvPlan.of(geometry, options);
              KvCache cache = KvCache.of(plan, new KvCacheOptions(16, 4, 16));
              KvSequence sequence = cache.newSequence()) {
            float[] x = new float[2 * heads * headDim];
            Arrays.fill(x, chance.number(1));
            sequence.append(0, x, x);
            sequence.attend(0, new float[2 * heads * headDim]);
          }
        });
  }

  private static KvCoding coding(Chance chance, boolean mayMixHeads) {
    return new KvCoding(
        mayMixHeads ? chance.any(Rotation.values()) : chance.any(Rotation.NONE, Rotation.HEAD),
        chance.hostile() && chance.coin(),
        (int) chance.size(chance.any(2, 3, 4)),
        (int) chance.size(16 * chance.between(1, 4)),
        chance.number(1));
  }

  @Property(
      tries = TRIES,
      seed = "7",
      edgeCases = EdgeCasesMode.NONE,
      shrinking = ShrinkingMode.OFF)
  void cache(@ForAll long seed) {
    Chance chance = new Chance(seed);
    KvCacheOptions size =
        new KvCacheOptions(
            (int) chance.size(16 * chance.between(1, 8)),
            small(chance.size(chance.between(1, 9))),
            chance.size(chance.between(1, 100)));
    survive(
        () -> {
          try (KvPlan plan = KvPlan.of(GEOMETRY, KvOptions.preset("quarot"));
              KvCache cache = KvCache.of(plan, size)) {
            cache.newSequence();
          }
        });
  }

  /** What lies between would only be reserved. */
  private static long small(long size) {
    return size > 256 && size < 1L << 25 ? 1L << 25 : size;
  }

  /** Files whose checksums are wrong, and files that are something else or are cut off. */
  @Property(
      tries = TRIES,
      seed = "8",
      edgeCases = EdgeCasesMode.NONE,
      shrinking = ShrinkingMode.OFF)
  void load(@ForAll long seed) {
    Chance chance = new Chance(seed);
    int which = (int) chance.between(0, CACHES.length - 1);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment sequence =
          damaged(chance, arena.allocate(SAVED[which].byteSize()).copyFrom(SAVED[which]));
      survive(() -> CACHES[which].load(sequence).close());
      MemorySegment plan = damaged(chance, arena.allocateFrom(JAVA_BYTE, PLANS[which]));
      survive(() -> KvPlan.load(plan, GEOMETRY).close());
    }
  }

  private static MemorySegment damaged(Chance chance, MemorySegment file) {
    if (chance.coin()) {
      return file;
    }
    for (int i = 0; i < 3; i++) {
      long at = Math.min(file.byteSize() - 1, chance.between(0, chance.any(64, 1 << 30)));
      file.set(JAVA_BYTE, at, (byte) chance.size(0));
    }
    return chance.hostile() ? file.asSlice(0, chance.between(0, file.byteSize())) : file;
  }
}
