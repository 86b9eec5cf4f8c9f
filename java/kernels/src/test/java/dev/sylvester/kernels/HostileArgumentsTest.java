package dev.sylvester.kernels;

import static dev.sylvester.kernels.TestData.weights;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import net.jqwik.api.EdgeCasesMode;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.ShrinkingMode;

class HostileArgumentsTest extends HostileCalls {
  private static final long ROWS = 20;
  private static final long COLS = 64;
  private static final DType[] TYPES = {DType.F32, DType.F16, DType.BF16, DType.Q8_0, DType.Q4_0};

  private static final Arena ARENA = Arena.ofShared();
  private static final Workspace WORKSPACE = new Workspace();
  private static final Map<DType, Matrix> MATRICES = new EnumMap<>(DType.class);

  static {
    for (DType type : TYPES) {
      MATRICES.put(
          type, Matrix.pack(type, ROWS, COLS, weights(ARENA, type, 1, ROWS, COLS), ARENA, null));
    }
  }

  @Property(
      tries = TRIES,
      seed = "1",
      edgeCases = EdgeCasesMode.NONE,
      shrinking = ShrinkingMode.OFF)
  void multiply(@ForAll long seed) {
    Chance chance = new Chance(seed);
    long m = chance.between(1, 9);
    long xStride = COLS + chance.between(0, 3);
    long yStride = ROWS + chance.between(0, 3);
    MemorySegment x = chance.floats(m, COLS, xStride);
    MemorySegment bias = chance.floats(1, ROWS, ROWS);
    MemorySegment y = chance.floats(m, ROWS, yStride);
    survive(
        () ->
            MATRICES
                .get(chance.any(TYPES))
                .multiply(
                    x,
                    chance.size(xStride),
                    chance.size(m),
                    bias,
                    chance.coin(),
                    y,
                    chance.size(yStride),
                    WORKSPACE,
                    pool(chance)));
  }

  @Property(
      tries = TRIES,
      seed = "2",
      edgeCases = EdgeCasesMode.NONE,
      shrinking = ShrinkingMode.OFF)
  void pack(@ForAll long seed) {
    Chance chance = new Chance(seed);
    DType type = chance.any(DType.values());
    long rows = chance.between(1, 40);
    long cols = type.blockSize() * chance.between(1, type.blockSize() == 256 ? 2 : 4);
    MemorySegment source = chance.segment(rows * type.bytes(cols));
    survive(
        () -> {
          try (Arena arena = Arena.ofConfined()) {
            Matrix.pack(type, chance.size(rows), chance.size(cols), source, arena, pool(chance));
          }
        });
  }

  @Property(
      tries = TRIES,
      seed = "3",
      edgeCases = EdgeCasesMode.NONE,
      shrinking = ShrinkingMode.OFF)
  void packAll(@ForAll long seed) {
    Chance chance = new Chance(seed);
    MemorySegment first = chance.floats(16, 8, 8);
    MemorySegment second = chance.floats(3, 8, 8);
    survive(
        () -> {
          try (Arena arena = Arena.ofConfined()) {
            List<Matrix.Part> parts =
                List.of(
                    new Matrix.Part(chance.size(16), first),
                    new Matrix.Part(chance.size(3), second));
            Matrix.packAll(DType.F32, chance.size(8), parts, arena, pool(chance));
          }
        });
  }

  @Property(
      tries = TRIES,
      seed = "4",
      edgeCases = EdgeCasesMode.NONE,
      shrinking = ShrinkingMode.OFF)
  void embed(@ForAll long seed) {
    Chance chance = new Chance(seed);
    DType type = chance.any(DType.values());
    int vocab = (int) chance.between(1, 20);
    long rows = chance.between(1, 9);
    long cols = type.blockSize() * chance.between(1, 2);
    long yStride = cols + chance.between(0, 3);
    MemorySegment table = chance.segment(vocab * type.bytes(cols));
    MemorySegment ids = chance.ids(rows, vocab);
    MemorySegment y = chance.floats(rows, cols, yStride);
    survive(
        () ->
            Nn.embed(
                type,
                table,
                chance.size(vocab),
                chance.size(cols),
                ids,
                chance.size(rows),
                y,
                chance.size(yStride)));
  }

  @Property(
      tries = TRIES,
      seed = "5",
      edgeCases = EdgeCasesMode.NONE,
      shrinking = ShrinkingMode.OFF)
  void convert(@ForAll long seed) {
    Chance chance = new Chance(seed);
    DType type = chance.any(DType.values());
    long n = type.blockSize() * chance.between(1, 4);
    MemorySegment blocks = chance.segment(type.bytes(n));
    MemorySegment floats = chance.floats(1, n, n);
    survive(() -> type.toFloat(blocks, chance.size(n), floats));
    survive(() -> type.fromFloat(floats, chance.size(n), blocks));
  }

  @Property(
      tries = TRIES,
      seed = "6",
      edgeCases = EdgeCasesMode.NONE,
      shrinking = ShrinkingMode.OFF)
  void rmsNorm(@ForAll long seed) {
    Chance chance = new Chance(seed);
    long rows = chance.between(1, 9);
    long cols = chance.between(1, 70);
    long xStride = cols + chance.between(0, 3);
    long yStride = cols + chance.between(0, 3);
    MemorySegment x = chance.floats(rows, cols, xStride);
    MemorySegment weight = chance.floats(1, cols, cols);
    MemorySegment y = chance.coin() ? x : chance.floats(rows, cols, yStride);
    survive(
        () ->
            Nn.rmsNorm(
                x,
                chance.size(xStride),
                weight,
                chance.number(1e-5f),
                chance.size(rows),
                chance.size(cols),
                y,
                chance.size(y == x ? xStride : yStride),
                pool(chance)));
  }

  @Property(
      tries = TRIES,
      seed = "7",
      edgeCases = EdgeCasesMode.NONE,
      shrinking = ShrinkingMode.OFF)
  void swiGlu(@ForAll long seed) {
    Chance chance = new Chance(seed);
    long rows = chance.between(1, 9);
    long cols = chance.between(1, 70);
    long gateStride = cols + chance.between(0, 3);
    long upStride = cols + chance.between(0, 3);
    MemorySegment gate = chance.floats(rows, cols, gateStride);
    MemorySegment up = chance.floats(rows, cols, upStride);
    MemorySegment y = chance.coin() ? up : chance.floats(rows, cols, gateStride);
    survive(
        () ->
            Nn.swiGlu(
                gate,
                chance.size(gateStride),
                up,
                chance.size(upStride),
                chance.size(rows),
                chance.size(cols),
                y,
                chance.size(y == up ? upStride : gateStride),
                pool(chance)));
  }

  @Property(
      tries = TRIES,
      seed = "8",
      edgeCases = EdgeCasesMode.NONE,
      shrinking = ShrinkingMode.OFF)
  void ropeFrequencies(@ForAll long seed) {
    Chance chance = new Chance(seed);
    RopeScaling scaling =
        new RopeScaling(
            chance.any(RopeScaling.Kind.values()),
            chance.number(10000),
            chance.number(8),
            chance.number(8192),
            chance.number(1),
            chance.number(4),
            chance.number(32),
            chance.number(1),
            chance.number(0));
    survive(() -> Rope.of(scaling, chance.size(2 * chance.between(1, 512)), ARENA));
  }

  @Property(
      tries = TRIES,
      seed = "9",
      edgeCases = EdgeCasesMode.NONE,
      shrinking = ShrinkingMode.OFF)
  void rope(@ForAll long seed) {
    Chance chance = new Chance(seed);
    long dims = 2 * chance.between(1, 16);
    long headDim = dims + chance.between(0, 5);
    long rows = chance.between(1, 6);
    long heads = chance.between(1, 4);
    long stride = heads * headDim + chance.between(0, 3);
    MemorySegment positions = chance.ids(rows, 1000);
    MemorySegment table = chance.floats(rows, dims, dims);
    MemorySegment x = chance.floats(rows, heads * headDim, stride);
    try (Arena arena = Arena.ofConfined()) {
      Rope rope = Rope.of(RopeScaling.none(1e4), dims, arena);
      survive(() -> rope.table(positions, chance.size(rows), table));
      survive(
          () ->
              rope.rotate(
                  x,
                  chance.size(stride),
                  chance.size(rows),
                  chance.size(heads),
                  chance.size(headDim),
                  chance.coin(),
                  table,
                  pool(chance)));
    }
  }

  @Property(
      tries = TRIES,
      seed = "10",
      edgeCases = EdgeCasesMode.NONE,
      shrinking = ShrinkingMode.OFF)
  void attention(@ForAll long seed) {
    Chance chance = new Chance(seed);
    AttentionShape shape =
        AttentionShape.causal(4, 2, 16, 64)
            .withCausal(chance.coin())
            .withCacheType(chance.any(DType.F16, DType.F32));
    long rows = chance.between(1, 9);
    long first = chance.between(0, 64 - rows);
    long stride = 64 + chance.between(0, 3);
    MemorySegment k = chance.floats(rows, 32, stride);
    MemorySegment v = chance.floats(rows, 32, stride);
    MemorySegment q = chance.floats(rows, 64, stride);
    MemorySegment y = chance.floats(rows, 64, stride);
    try (Arena arena = Arena.ofConfined()) {
      FloatCache cache = FloatCache.allocate(shape, arena);
      survive(
          () ->
              cache.append(
                  k,
                  chance.size(stride),
                  v,
                  chance.size(stride),
                  chance.size(first),
                  chance.size(rows),
                  pool(chance)));
      survive(
          () ->
              cache.attend(
                  q,
                  chance.size(stride),
                  chance.size(first),
                  chance.size(rows),
                  chance.size(first + rows),
                  y,
                  chance.size(stride),
                  WORKSPACE,
                  pool(chance)));
    }
  }

  @Property(
      tries = TRIES,
      seed = "11",
      edgeCases = EdgeCasesMode.NONE,
      shrinking = ShrinkingMode.OFF)
  void attentionShape(@ForAll long seed) {
    Chance chance = new Chance(seed);
    long capacity = chance.size(16 * chance.between(1, 8));
    AttentionShape shape =
        new AttentionShape(
            chance.any(DType.F16, DType.F32, DType.Q8_0),
            small(chance.size(8)),
            small(chance.size(2)),
            small(chance.size(8 * chance.between(1, 16))),
            small(capacity),
            chance.size(0),
            true,
            chance.number(1),
            chance.number(0));
    survive(
        () -> {
          try (Arena arena = Arena.ofConfined()) {
            FloatCache.allocate(shape, arena);
          }
        });
  }

  /**
   * Either small or more than any machine has: what lies between would only be filled with zeros.
   */
  private static long small(long size) {
    return size > 256 && size < 1L << 59 ? 1L << 59 : size;
  }

  @Property(
      tries = TRIES,
      seed = "12",
      edgeCases = EdgeCasesMode.NONE,
      shrinking = ShrinkingMode.OFF)
  void stats(@ForAll long seed) {
    Chance chance = new Chance(seed);
    long rows = chance.between(1, 4);
    long cols = chance.between(1, 300);
    long stride = cols + chance.between(0, 3);
    MemorySegment logits = chance.floats(rows, cols, stride);
    try (Arena arena = Arena.ofConfined()) {
      LogitsStats stats = LogitsStats.allocate(4, arena);
      survive(
          () ->
              stats.compute(
                  logits, chance.size(stride), chance.size(rows), chance.size(cols), pool(chance)));
    }
  }

  @Property(
      tries = TRIES,
      seed = "14",
      edgeCases = EdgeCasesMode.NONE,
      shrinking = ShrinkingMode.OFF)
  void statsOfListedRows(@ForAll long seed) {
    Chance chance = new Chance(seed);
    long rows = chance.between(1, 4);
    long cols = chance.between(1, 300);
    long stride = cols + chance.between(0, 3);
    long count = chance.between(0, 4);
    MemorySegment logits = chance.floats(rows, cols, stride);
    MemorySegment unconditional = chance.floats(rows, cols, stride);
    MemorySegment list = chance.ids(count, (int) rows);
    try (Arena arena = Arena.ofConfined()) {
      LogitsStats stats = LogitsStats.allocate(4, arena);
      LogitsOptions options =
          LogitsOptions.allocate(arena)
              .type(seed % 3 == 0 ? DType.BF16 : seed % 5 == 0 ? DType.Q8_0 : DType.F32)
              .guidance(chance.number(1))
              .temperature(chance.number(1))
              .drawTemperature(chance.number(1))
              .step((int) chance.size(3))
              .banned((int) chance.size(chance.between(0, cols)))
              .ignored((int) chance.size(chance.between(0, cols)), 1);
      survive(
          () ->
              stats.compute(
                  options,
                  logits,
                  unconditional,
                  chance.size(stride),
                  chance.size(rows),
                  chance.size(cols),
                  list,
                  null,
                  chance.size(count),
                  pool(chance)));
    }
  }

  @Property(
      tries = TRIES,
      seed = "13",
      edgeCases = EdgeCasesMode.NONE,
      shrinking = ShrinkingMode.OFF)
  void sample(@ForAll long seed) {
    Chance chance = new Chance(seed);
    int cols = (int) chance.between(1, 300);
    long historyCount = chance.between(0, 20);
    long biasCount = chance.between(0, 5);
    SamplerOptions options =
        new SamplerOptions(
            chance.number(0.8f),
            (int) chance.size(chance.between(0, 10)),
            chance.number(0.9f),
            chance.number(0.05f),
            chance.number(1.1f),
            chance.number(0.1f),
            chance.number(0.1f),
            seed);
    MemorySegment logits = chance.floats(1, cols, cols);
    MemorySegment history = chance.ids(historyCount, cols);
    MemorySegment biasIds = chance.ids(biasCount, cols);
    MemorySegment biasValues = chance.floats(1, biasCount, biasCount);
    try (Arena arena = Arena.ofConfined()) {
      Sampler sampler = Sampler.of(options, arena);
      survive(
          () ->
              sampler.sample(
                  logits,
                  chance.size(cols),
                  history,
                  chance.size(historyCount),
                  biasIds,
                  biasValues,
                  chance.size(biasCount),
                  chance.size(chance.between(0, 1000)),
                  WORKSPACE));
    }
  }
}
