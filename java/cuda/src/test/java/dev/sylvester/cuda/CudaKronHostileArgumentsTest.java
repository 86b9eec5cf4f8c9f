package dev.sylvester.cuda;

import dev.sylvester.cuda.CudaKronSegments.Segment;
import dev.sylvester.kernels.Chance;
import dev.sylvester.kernels.DType;
import dev.sylvester.kernels.KronShape;
import java.util.List;
import net.jqwik.api.EdgeCasesMode;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.ShrinkingMode;

/** Kronecker adapters, as {@link HostileDeviceCalls} says. */
class CudaKronHostileArgumentsTest extends HostileDeviceCalls {
  @Property(
      tries = TRIES,
      seed = "3",
      edgeCases = EdgeCasesMode.NONE,
      shrinking = ShrinkingMode.OFF)
  void kron(@ForAll long seed) {
    Chance chance = new Chance(seed);
    KronShape shape =
        new KronShape(
            chance.between(1, 4), chance.between(1, 4), chance.between(1, 4), chance.between(1, 4));
    KronShape told =
        new KronShape(
            chance.size(shape.m()), chance.size(shape.n()), shape.p(), chance.size(shape.q()));
    DType type = chance.hostile() ? chance.any(DType.values()) : DType.F32;
    long terms = chance.between(1, 3);
    long rows = chance.between(0, 3);
    long in = shape.in();
    long out = shape.out();
    long xStride = in + chance.between(0, 2);
    long yStride = out + chance.between(0, 2);
    DeviceMemory u = memory(chance, 0, 4 * terms * shape.m() * shape.n());
    DeviceMemory v = memory(chance, 1, 4 * terms * shape.p() * shape.q());
    DeviceMemory x = memory(chance, 2, 4 * ((rows + 1) * xStride));
    DeviceMemory y = memory(chance, 3, 4 * ((rows + 1) * yStride));
    float scale = chance.number(1);
    boolean add = chance.coin();
    survive(
        () -> {
          CudaKronAdapter adapter = CudaKronAdapter.of(type, chance.size(terms), told, u, v);
          long number = chance.size(rows);
          switch ((int) chance.between(0, 4)) {
            case 0 ->
                adapter.apply(
                    scale,
                    x,
                    chance.size(xStride),
                    number,
                    add,
                    y,
                    chance.size(yStride),
                    memory(chance, 4, Math.min(1 << 14, adapter.workspaceBytes(number))),
                    stream(chance));
            case 1 ->
                adapter.applyTransposed(
                    scale,
                    y,
                    chance.size(yStride),
                    number,
                    add,
                    x,
                    chance.size(xStride),
                    memory(chance, 4, Math.min(1 << 14, adapter.workspaceBytes(number))),
                    stream(chance));
            case 2 ->
                adapter.writeDelta(
                    scale,
                    add,
                    type,
                    memory(chance, 4, 4 * (out * xStride)),
                    chance.size(xStride),
                    stream(chance));
            case 3 ->
                adapter.addGradient(
                    scale,
                    x,
                    y,
                    number,
                    memory(chance, 5, 4 * terms * shape.m() * shape.n()),
                    memory(chance, 6, 4 * terms * shape.p() * shape.q()),
                    chance.coin() ? null : memory(chance, 7, 4 * rows * in),
                    memory(chance, 4, Math.min(1 << 14, adapter.gradientWorkspaceBytes(number))),
                    stream(chance));
            default -> {
              CudaKronSegments segments =
                  CudaKronSegments.of(
                      List.of(
                          new Segment(number, adapter, scale),
                          new Segment(1, chance.coin() ? null : adapter, 2)),
                      chance.size(out),
                      chance.size(in));
              segments.apply(
                  x,
                  chance.size(xStride),
                  add,
                  y,
                  chance.size(yStride),
                  memory(chance, 4, Math.min(1 << 14, segments.workspaceBytes())),
                  stream(chance));
            }
          }
        });
  }
}
