package dev.sylvester.cuda;

import dev.sylvester.kernels.Chance;
import dev.sylvester.kernels.DType;
import dev.sylvester.kernels.Hadamard;
import dev.sylvester.kernels.HadamardOptions;
import dev.sylvester.kernels.HadamardOptions.Quantizer;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import net.jqwik.api.EdgeCasesMode;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.ShrinkingMode;

/** Memory and Hadamard transforms, as {@link HostileDeviceCalls} says. */
class HostileArgumentsTest extends HostileDeviceCalls {
  private static MemorySegment host(Chance chance, long bytes) {
    if (!chance.hostile()) {
      return chance.coin() ? REGIONS[4].last(bytes) : MemorySegment.ofArray(new byte[(int) bytes]);
    }
    return switch ((int) chance.between(0, 3)) {
      case 0 -> null;
      case 1 -> REGIONS[4].last(bytes).asReadOnly();
      case 2 -> REGIONS[4].last(bytes + 1);
      default -> {
        try (Arena arena = Arena.ofConfined()) {
          yield arena.allocate(bytes);
        }
      }
    };
  }

  @Property(
      tries = TRIES,
      seed = "1",
      edgeCases = EdgeCasesMode.NONE,
      shrinking = ShrinkingMode.OFF)
  void copies(@ForAll long seed) {
    Chance chance = new Chance(seed);
    long whole = chance.between(1, 3000);
    long offset = chance.between(0, whole);
    long bytes = whole - offset;
    DeviceMemory memory = memory(chance, 0, whole);
    survive(
        () -> {
          DeviceMemory part = memory.slice(chance.size(offset), chance.size(bytes));
          switch ((int) chance.between(0, 3)) {
            case 0 -> part.copyFrom(host(chance, bytes), stream(chance));
            case 1 -> part.copyTo(host(chance, bytes), stream(chance));
            case 2 -> part.copyFrom(memory(chance, 1, bytes), stream(chance));
            default -> part.fill((byte) 1, stream(chance)); // refused: it is no device memory
          }
        });
  }

  @Property(
      tries = TRIES,
      seed = "2",
      edgeCases = EdgeCasesMode.NONE,
      shrinking = ShrinkingMode.OFF)
  void hadamard(@ForAll long seed) {
    Chance chance = new Chance(seed);
    HadamardOptions[] described = new HadamardOptions[1];
    CudaHadamard[] made = new CudaHadamard[1];
    survive(
        () -> {
          described[0] = options(chance);
          made[0] = CudaHadamard.of(described[0], DEVICE);
        });
    if (made[0] == null) {
      return;
    }
    HadamardOptions options = described[0];
    if (Math.max(options.layout().xBytes(), options.layout().yBytes()) > REGIONS[0].maxBytes()) {
      made[0].close();
      return;
    }
    long all = options.layout().transforms();
    long first = chance.between(0, all - 1);
    long count = chance.between(0, all - first);
    try (CudaHadamard plan = made[0]) {
      DeviceMemory x = memory(chance, 0, options.layout().xBytes(first, count));
      DeviceMemory y = memory(chance, 1, options.layout().yBytes(first, count));
      DeviceMemory workspace = memory(chance, 4, Math.min(1 << 14, plan.workspaceBytes(count)));
      if (options.quantizer() != null) {
        long scaleBytes = options.layout().scaleBytes(first, count);
        DeviceMemory scales = memory(chance, 2, scaleBytes);
        DeviceMemory zeros = options.quantizer().hasZeros() ? memory(chance, 3, scaleBytes) : null;
        survive(
            () ->
                plan.quantize(
                    x,
                    y,
                    scales,
                    zeros,
                    chance.size(first),
                    chance.size(count),
                    workspace,
                    stream(chance)));
      } else if (chance.coin()) {
        survive(
            () ->
                plan.apply(
                    x, y, chance.size(first), chance.size(count), workspace, stream(chance)));
      } else {
        survive(
            () ->
                plan.applyTransposed(
                    y, x, chance.size(first), chance.size(count), workspace, stream(chance)));
      }
    }
  }

  /** Small transforms, described well for the most part. */
  private static HadamardOptions options(Chance chance) {
    long n = chance.size(1L << chance.between(1, 7));
    HadamardOptions options =
        Hadamard.of(n)
            .type(chance.any(DType.F32, DType.F16, DType.BF16))
            .transforms(
                chance.size(chance.between(1, 3)),
                chance.size(chance.between(1, 3)),
                chance.size(chance.between(1, 3)))
            .scale(chance.number(0));
    if (chance.coin()) {
      options =
          options.signs(chance.between(0, 99)).rounds((int) chance.size(chance.between(1, 3)));
    }
    if (chance.coin()) {
      long row = n + chance.between(0, 5);
      options = options.strides(chance.size(9 * row), chance.size(3 * row), chance.size(row), 1);
    }
    return switch ((int) chance.between(0, 5)) {
      case 0 -> options.blocks(chance.size(Math.max(2, n / 2)));
      case 1 -> options.overlapped();
      case 2 -> options.regular();
      case 3 -> options.quantizer(chance.any(Quantizer.values()));
      default -> options;
    };
  }
}
