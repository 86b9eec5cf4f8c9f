package dev.sylvester.cuda;

import static dev.sylvester.cuda.DeviceMemoryTest.bytes;
import static dev.sylvester.cuda.Elements.assertSame;
import static dev.sylvester.cuda.Elements.random;
import static dev.sylvester.kernels.TestData.rows;
import static org.assertj.core.api.Assertions.assertThat;

import dev.sylvester.cuda.CudaKronSegments.Segment;
import dev.sylvester.kernels.DType;
import dev.sylvester.kernels.KronAdapter;
import dev.sylvester.kernels.KronFactors;
import dev.sylvester.kernels.KronShape;
import dev.sylvester.kernels.Workspace;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** The bytes of an adapter on the device are those on the processor, padding included. */
class CudaKronAdapterTest {
  private final DeviceCopies copies = new DeviceCopies();
  private final Workspace workspace = new Workspace();

  @AfterEach
  void free() {
    workspace.close();
    copies.close();
  }

  /** The same factors on both sides. */
  private record Both(KronFactors cpu, CudaKronAdapter cuda) {}

  private Both factors(DType type, long terms, KronShape s, long seed) {
    MemorySegment u = copies.host(random(type, type.bytes(terms * s.m() * s.n()), 0, seed));
    MemorySegment v = copies.host(random(type, type.bytes(terms * s.p() * s.q()), 0, seed + 1));
    return new Both(
        KronFactors.of(type, terms, s, u, v),
        CudaKronAdapter.of(type, terms, s, copies.of(u), copies.of(v)));
  }

  static Stream<Arguments> shapes() {
    return Stream.of(
        Arguments.of(DType.F32, 2, new KronShape(3, 4, 5, 2)),
        Arguments.of(DType.F32, 8, KronShape.lora(130, 70)),
        Arguments.of(DType.F16, 3, KronShape.lora(7, 9)),
        Arguments.of(DType.BF16, 1, new KronShape(16, 8, 16, 17)));
  }

  @ParameterizedTest
  @MethodSource("shapes")
  void rowsHaveTheBitsOfTheProcessor(DType type, long terms, KronShape shape) {
    Both both = factors(type, terms, shape, 1);
    long in = shape.in();
    long out = shape.out();
    KronAdapter adapter = KronAdapter.pack(both.cpu, copies.arena);
    KronAdapter transposed = KronAdapter.packTransposed(both.cpu, copies.arena);
    DeviceMemory scratch = copies.workspace(both.cuda.workspaceBytes(5));
    for (boolean accumulate : new boolean[] {false, true}) {
      MemorySegment x = rows(copies.arena, 3, 5, in, in + 1);
      MemorySegment y = rows(copies.arena, 4, 5, out, out + 2);
      DeviceMemory deviceX = copies.of(x);
      DeviceMemory deviceY = copies.of(y);
      both.cuda.apply(0.7f, deviceX, in + 1, 5, accumulate, deviceY, out + 2, scratch, null);
      adapter.apply(0.7f, x, in + 1, 5, accumulate, y, out + 2, workspace, null);
      assertSame(DType.F32, bytes(deviceY), bytes(y));

      both.cuda.applyTransposed(2, deviceY, out + 2, 4, accumulate, deviceX, in + 1, scratch, null);
      transposed.apply(2, y, out + 2, 4, accumulate, x, in + 1, workspace, null);
      assertSame(DType.F32, bytes(deviceX), bytes(x));
    }
  }

  @Test
  void segmentsHaveTheBitsOfTheProcessor() {
    Both kron = factors(DType.F32, 3, new KronShape(3, 4, 5, 2), 10);
    Both lora = factors(DType.BF16, 2, KronShape.lora(15, 8), 20);
    CudaKronSegments segments =
        CudaKronSegments.of(
            List.of(
                new Segment(2, kron.cuda, 0.5f),
                new Segment(1, null, 1),
                new Segment(0, lora.cuda, 3),
                new Segment(3, lora.cuda, 2),
                new Segment(1, kron.cuda, -1)),
            15,
            8);
    KronAdapter first = KronAdapter.pack(kron.cpu, copies.arena);
    KronAdapter second = KronAdapter.pack(lora.cpu, copies.arena);
    List<KronAdapter.Segment> expected =
        List.of(
            new KronAdapter.Segment(2, first, 0.5f),
            new KronAdapter.Segment(1, null, 1),
            new KronAdapter.Segment(0, second, 3),
            new KronAdapter.Segment(3, second, 2),
            new KronAdapter.Segment(1, first, -1));
    assertThat(segments.rows()).isEqualTo(7);
    DeviceMemory scratch = copies.workspace(segments.workspaceBytes());
    for (boolean accumulate : new boolean[] {false, true}) {
      MemorySegment x = rows(copies.arena, 30, 7, 8, 9);
      MemorySegment y = rows(copies.arena, 31, 7, 15, 18);
      DeviceMemory deviceY = copies.of(y);
      segments.apply(copies.of(x), 9, accumulate, deviceY, 18, scratch, null);
      KronAdapter.applySegments(expected, 15, 8, x, 9, accumulate, y, 18, workspace, null);
      assertSame(DType.F32, bytes(deviceY), bytes(y));
    }
  }

  @Test
  void segmentsWithoutAdaptersAreZeros() {
    CudaKronSegments segments = CudaKronSegments.of(List.of(new Segment(2, null, 1)), 3, 4);
    assertThat(segments.workspaceBytes()).isZero();
    DeviceMemory y = copies.of(rows(copies.arena, 1, 2, 3, 3));
    segments.apply(copies.allocate(2 * 4 * 4), 4, false, y, 3, null, null);
    assertThat(DeviceMemoryTest.floats(y)).containsOnly(0);
  }

  @ParameterizedTest
  @EnumSource(names = {"F32", "F16", "BF16"})
  void deltaHasTheBitsOfTheProcessor(DType type) {
    Both both = factors(DType.F16, 3, new KronShape(3, 4, 5, 2), 40);
    for (boolean accumulate : new boolean[] {false, true}) {
      MemorySegment w = copies.host(random(type, type.bytes(15 * 11), 0, 41));
      DeviceMemory deviceW = copies.of(w);
      both.cuda.writeDelta(-0.3, accumulate, type, deviceW, 11, null);
      both.cpu.writeDelta(-0.3, accumulate, type, w, 11, null);
      assertSame(type, bytes(deviceW), bytes(w));
    }
  }

  @ParameterizedTest
  @MethodSource("shapes")
  void gradientsHaveTheBitsOfTheProcessor(DType type, long terms, KronShape s) {
    Both both = factors(DType.F32, terms, s, 50);
    MemorySegment x = rows(copies.arena, 52, 9, s.in(), s.in());
    MemorySegment g = rows(copies.arena, 53, 9, s.out(), s.out());
    MemorySegment du = rows(copies.arena, 54, terms, s.m() * s.n(), s.m() * s.n());
    MemorySegment dv = rows(copies.arena, 55, terms, s.p() * s.q(), s.p() * s.q());
    MemorySegment dx = rows(copies.arena, 56, 9, s.in(), s.in());
    DeviceMemory deviceX = copies.of(x);
    DeviceMemory deviceG = copies.of(g);
    DeviceMemory deviceU = copies.of(du);
    DeviceMemory deviceV = copies.of(dv);
    DeviceMemory deviceDx = copies.of(dx);
    DeviceMemory scratch = copies.workspace(both.cuda.gradientWorkspaceBytes(9));
    for (boolean ofX : new boolean[] {true, false}) {
      both.cuda.addGradient(
          0.5f, deviceX, deviceG, 9, deviceU, deviceV, ofX ? deviceDx : null, scratch, null);
      both.cpu.addGradient(0.5f, x, g, 9, du, dv, ofX ? dx : null, workspace, null);
    }
    assertSame(DType.F32, bytes(deviceU), bytes(du));
    assertSame(DType.F32, bytes(deviceV), bytes(dv));
    assertSame(DType.F32, bytes(deviceDx), bytes(dx));
  }

  @Test
  void anAdapterTellsWhatItIs() {
    KronShape shape = KronShape.lora(6, 5);
    CudaKronAdapter adapter = factors(DType.F32, 2, shape, 60).cuda;
    assertThat(adapter.shape()).isEqualTo(shape);
    assertThat(adapter.device()).isSameAs(DeviceCopies.DEVICE);
  }
}
