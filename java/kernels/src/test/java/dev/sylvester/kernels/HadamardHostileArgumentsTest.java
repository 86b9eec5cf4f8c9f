package dev.sylvester.kernels;

import dev.sylvester.kernels.HadamardOptions.Quantizer;
import dev.sylvester.kernels.HadamardOptions.Table;
import java.lang.foreign.MemorySegment;
import java.util.Random;
import net.jqwik.api.EdgeCasesMode;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.ShrinkingMode;

class HadamardHostileArgumentsTest extends HostileCalls {
  private static final Workspace WORKSPACE = new Workspace();
  private static final DType[] FLOATS = {DType.F32, DType.F32, DType.F16, DType.BF16, DType.F64};
  private static final long SMALL = 1 << 14;

  private static final Hadamard[] PLANS = {
    Hadamard.of(64).rows(20).signs(1).build(),
    Hadamard.of(96).base(12).rows(3).rounds(2).strides(101, 0, 0, 1).build(),
    Hadamard.acrossHeads(32, 5).rows(4).build(),
    Hadamard.of(256).type(DType.BF16).transforms(2, 2, 3).build(),
    Hadamard.of(128).type(DType.F16, DType.F32).rows(6).build(),
    Hadamard.of(100).overlapped().rounds(2).rows(5).build(),
    Hadamard.of(64).gather(new Random(1).ints(64, 0, 1).map(i -> -1).toArray(), 7).rows(9).build()
  };
  private static final Hadamard[] QUANTIZERS = {
    Hadamard.of(64).rows(20).quantizer(Quantizer.I8).build(),
    Hadamard.of(128).rows(5).quantizer(Quantizer.U4, 32).build(),
    Hadamard.of(256).type(DType.BF16).rows(7).quantizer(Quantizer.U2, 64).build()
  };

  @Property(
      tries = TRIES,
      seed = "1",
      edgeCases = EdgeCasesMode.NONE,
      shrinking = ShrinkingMode.OFF)
  void apply(@ForAll long seed) {
    Chance chance = new Chance(seed);
    Hadamard plan = chance.any(PLANS);
    HadamardLayout layout = plan.layout();
    long first = chance.between(0, layout.transforms() - 1);
    long count = chance.between(0, layout.transforms() - first);
    boolean inPlace = chance.coin() && plan.options().sameLayout();
    MemorySegment x = chance.segment(layout.xBytes(first, count));
    MemorySegment y = inPlace ? x : chance.segment(layout.yBytes(first, count));
    long one = chance.size(first);
    long many = chance.size(count);
    survive(() -> plan.apply(x, y, one, many, chance.any(WORKSPACE, null), pool(chance)));
    survive(() -> plan.applyTransposed(y, x, one, many, chance.any(WORKSPACE, null), pool(chance)));
  }

  @Property(
      tries = TRIES,
      seed = "2",
      edgeCases = EdgeCasesMode.NONE,
      shrinking = ShrinkingMode.OFF)
  void quantize(@ForAll long seed) {
    Chance chance = new Chance(seed);
    Hadamard plan = chance.any(QUANTIZERS);
    HadamardLayout layout = plan.layout();
    long first = chance.between(0, layout.transforms() - 1);
    long count = chance.between(0, layout.transforms() - first);
    long scaleBytes = layout.scaleBytes(first, count);
    MemorySegment x = chance.segment(layout.xBytes(first, count));
    MemorySegment codes = chance.segment(layout.yBytes(first, count));
    MemorySegment scales = chance.segment(scaleBytes);
    MemorySegment zeros = plan.options().quantizer().hasZeros() ? chance.segment(scaleBytes) : null;
    survive(
        () ->
            plan.quantize(
                x,
                codes,
                scales,
                zeros,
                chance.size(first),
                chance.size(count),
                chance.any(WORKSPACE, null),
                pool(chance)));
  }

  @Property(
      tries = TRIES,
      seed = "3",
      edgeCases = EdgeCasesMode.NONE,
      shrinking = ShrinkingMode.OFF)
  void transform(@ForAll long seed) {
    Chance chance = new Chance(seed);
    DType type = chance.any(chance.hostile() ? DType.values() : FLOATS);
    long n = 1L << chance.between(1, 8);
    long rows = chance.between(1, 9);
    long stride = n + chance.between(0, 3);
    MemorySegment x = chance.segment(((rows - 1) * stride + n) * Math.min(8, type.blockBytes()));
    survive(
        () ->
            Hadamard.transform(
                type,
                x,
                chance.size(rows),
                chance.size(stride),
                chance.size(n),
                chance.number(1),
                pool(chance)));
    float[] array = new float[(int) (rows * n)];
    survive(() -> Hadamard.transform(array, (int) chance.size(n)));
  }

  /** Any description that makes a plan makes one that stays inside its segments. */
  @Property(
      tries = TRIES,
      seed = "4",
      edgeCases = EdgeCasesMode.NONE,
      shrinking = ShrinkingMode.OFF)
  void plans(@ForAll long seed) {
    Chance chance = new Chance(seed);
    survive(
        () -> {
          Hadamard plan = description(chance).build();
          HadamardLayout layout = plan.layout();
          if (layout.xBytes() <= SMALL && layout.yBytes() <= SMALL && layout.scales() <= 4096) {
            run(plan, chance);
          }
        });
  }

  private static HadamardOptions description(Chance chance) {
    int base = chance.any(1, 1, 1, 12, 20, 28, 172);
    long n = (long) base << chance.between(1, 7);
    HadamardOptions options = Hadamard.of(chance.size(n)).base((int) chance.size(base));
    options =
        switch ((int) chance.between(0, 7)) {
          case 0 -> options.regular();
          case 1 -> options.base(1).blocks(chance.size(2L << chance.between(0, 3)));
          case 2 -> options.base(1).overlapped();
          case 3 -> options.base(12, Table.QUAROT);
          default -> options;
        };
    options =
        options
            .transforms(
                chance.size(chance.between(1, 3)),
                chance.size(chance.between(1, 3)),
                chance.size(chance.between(1, 3)))
            .scale(chance.number(0))
            .rounds((int) chance.size(chance.between(1, 3)));
    DType type = chance.any(chance.hostile() ? DType.values() : FLOATS);
    options = chance.coin() ? options.type(type) : options.type(type, chance.any(FLOATS));
    if (chance.coin()) {
      long element = chance.size(chance.between(1, 2));
      long inner = chance.size(2 * n + 1);
      options = options.strides(chance.size(9 * inner), chance.size(3 * inner), inner, element);
    }
    if (chance.coin()) {
      int words = (int) Math.ceilDiv(n, 32);
      int rows = (int) chance.between(1, 2);
      options =
          chance.coin()
              ? options.signs(1)
              : options.signs(new int[(int) small(chance, 2L * rows * words)], rows);
    }
    if (chance.hostile()) {
      int[] indices = new Random(1).ints(small(chance, n), -1, (int) n).toArray();
      options = options.gather(indices, chance.size(n));
    }
    if (chance.coin()) {
      options = options.quantizer(chance.any(Quantizer.values()), chance.size(n));
      if (chance.hostile()) {
        options = options.groupMap(new int[(int) small(chance, n)]);
      }
    }
    return options;
  }

  /** A good or a wrong length of an array, but never a huge one. */
  private static long small(Chance chance, long length) {
    return Math.clamp(chance.size(length), 0, 1 << 16);
  }

  private static void run(Hadamard plan, Chance chance) {
    HadamardLayout layout = plan.layout();
    long all = layout.transforms();
    MemorySegment x = chance.segment(layout.xBytes());
    MemorySegment y = chance.segment(layout.yBytes());
    if (plan.options().quantizer() == null) {
      plan.apply(x, y, 0, all, null, pool(chance));
      plan.applyTransposed(y, x, 0, all, null, pool(chance));
    } else {
      MemorySegment scales = chance.segment(4 * layout.scales());
      boolean hasZeros = plan.options().quantizer().hasZeros();
      MemorySegment zeros = hasZeros ? chance.segment(4 * layout.scales()) : null;
      plan.quantize(x, y, scales, zeros, 0, all, null, pool(chance));
    }
  }
}
