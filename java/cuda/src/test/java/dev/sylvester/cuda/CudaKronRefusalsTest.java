package dev.sylvester.cuda;

import static dev.sylvester.kernels.TestData.assertRefused;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import dev.sylvester.cuda.CudaKronSegments.Segment;
import dev.sylvester.kernels.DType;
import dev.sylvester.kernels.KronShape;
import dev.sylvester.kernels.Status;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** What {@link CudaKronAdapter} and {@link CudaKronSegments} do not do. */
class CudaKronRefusalsTest {
  private static final KronShape SHAPE = new KronShape(3, 4, 5, 2); // 15 x 8

  private final DeviceCopies copies = new DeviceCopies();
  private final DeviceMemory u = copies.allocate(2 * 12 * 4);
  private final DeviceMemory v = copies.allocate(2 * 10 * 4);
  private final CudaKronAdapter adapter = CudaKronAdapter.of(DType.F32, 2, SHAPE, u, v);
  private final DeviceMemory x = copies.allocate(2 * 8 * 4);
  private final DeviceMemory y = copies.allocate(2 * 15 * 4);
  private final DeviceMemory scratch = copies.allocate(4096);

  @AfterEach
  void free() {
    copies.close();
  }

  private void apply(DeviceMemory from, long xStride, long rows, DeviceMemory to, long yStride) {
    adapter.apply(1, from, xStride, rows, false, to, yStride, scratch, null);
  }

  @Test
  void impossibleFactorsAreRefused() {
    assertRefused(
        Status.BAD_SHAPE,
        "u has 96 bytes, the shape needs 144",
        () -> CudaKronAdapter.of(DType.F32, 3, SHAPE, u, v));
    assertRefused(
        Status.BAD_SHAPE,
        "v has 79 bytes, the shape needs 80",
        () -> CudaKronAdapter.of(DType.F32, 2, SHAPE, u, v.slice(0, 79)));
    assertRefused(
        Status.BAD_VALUE,
        "kron->terms is -1",
        () -> CudaKronAdapter.of(DType.F32, -1, SHAPE, u, v));
    assertRefused(
        Status.BAD_VALUE,
        "kron->p is 9223372036854775807",
        () -> CudaKronAdapter.of(DType.F32, 1, new KronShape(1, 1, Long.MAX_VALUE, 1), u, v));
    assertRefused(
        Status.BAD_VALUE, "kron->type is 8", () -> CudaKronAdapter.of(DType.Q8_0, 2, SHAPE, u, v));
    assertRefused(
        Status.NULL_ARGUMENT,
        "CudaKronAdapter.of: v is null",
        () -> CudaKronAdapter.of(DType.F32, 2, SHAPE, u, null));
    DeviceMemory far = DeviceMemory.foreign(DeviceCopies.OTHER, v.segment());
    assertRefused(
        Status.BAD_VALUE,
        "CudaKronAdapter.of: v is on device 1, not 0",
        () -> CudaKronAdapter.of(DType.F32, 2, SHAPE, u, far));
  }

  @Test
  void rowsBeyondTheMemoryAreRefused() {
    apply(x, 8, 2, y, 15);
    assertRefused(
        Status.BAD_SHAPE,
        "CudaKronAdapter.apply: x has 64 bytes, needed are 68",
        () -> apply(x, 9, 2, y, 15));
    assertRefused(
        Status.BAD_SHAPE,
        "CudaKronAdapter.apply: y has 120 bytes, needed are 124",
        () -> apply(x, 8, 2, y, 16));
    assertRefused(
        Status.BAD_SHAPE,
        "CudaKronAdapter.applyTransposed: y has 64 bytes, needed are 120",
        () -> adapter.applyTransposed(1, x, 15, 2, false, y, 8, scratch, null));
    assertRefused(Status.BAD_SHAPE, "x_stride is 7", () -> apply(x, 7, 2, y, 15));
    assertRefused(
        Status.BAD_SHAPE,
        "x has impossible shape: -1 rows of 8, stride 8",
        () -> apply(x, 8, -1, y, 15));
    assertRefused(
        Status.BAD_SHAPE,
        "y has impossible shape: 2 rows of 15, stride 9223372036854775807",
        () -> apply(x, 8, 2, y, Long.MAX_VALUE));
    assertRefused(Status.BAD_VALUE, "rows is -1", () -> adapter.workspaceBytes(-1));
    assertRefused(Status.BAD_VALUE, "rows is -1", () -> adapter.gradientWorkspaceBytes(-1));
  }

  @Test
  void wrongMemoryIsRefused() {
    DeviceMemory far = DeviceMemory.foreign(DeviceCopies.OTHER, y.segment());
    assertRefused(
        Status.BAD_VALUE,
        "CudaKronAdapter.apply: y is on device 1, not 0",
        () -> apply(x, 8, 2, far, 15));
    assertRefused(
        Status.BAD_VALUE,
        "CudaKronAdapter.apply: stream is on device 1, not 0",
        () -> adapter.apply(1, x, 8, 2, false, y, 15, scratch, DeviceCopies.otherStream()));
    assertRefused(Status.NULL_ARGUMENT, "x is null", () -> apply(null, 8, 2, y, 15));
    assertRefused(
        Status.BAD_VALUE, "must be aligned to 4 bytes", () -> apply(x.slice(1, 32), 8, 1, y, 15));
    assertRefused(
        Status.BAD_VALUE,
        "scale is nan",
        () -> adapter.apply(Float.NaN, x, 8, 2, false, y, 15, scratch, null));
    assertRefused(
        Status.NULL_ARGUMENT,
        "workspace",
        () -> adapter.apply(1, x, 8, 2, false, y, 15, null, null));
    DeviceMemory small = scratch.slice(0, adapter.workspaceBytes(2) - 1);
    assertRefused(
        Status.WORKSPACE,
        "workspace_bytes is " + small.byteSize(),
        () -> adapter.apply(1, x, 8, 2, false, y, 15, small, null));
  }

  @Test
  void closedMemoryIsRefused() {
    DeviceMemory closed = DeviceMemory.allocate(DeviceCopies.DEVICE, 120);
    CudaKronAdapter dead = CudaKronAdapter.of(DType.F32, 2, SHAPE, closed.slice(0, 96), v);
    closed.close();
    for (Runnable call :
        new Runnable[] {
          () -> apply(closed, 8, 2, y, 15),
          () -> apply(x, 8, 2, closed, 15),
          () -> dead.apply(1, x, 8, 2, false, y, 15, scratch, null),
          () -> dead.writeDelta(1, false, DType.F32, scratch, 8, null),
          () -> dead.workspaceBytes(1),
          () -> segments(dead).apply(x, 8, false, y, 15, scratch, null),
        }) {
      assertThatIllegalStateException().isThrownBy(call::run).withMessage("DeviceMemory is closed");
    }
  }

  /** What a structure points to is not an argument that Java keeps alive. */
  @Test
  void heldMemoryIsNotClosed() {
    DeviceMemory memory = DeviceMemory.allocate(DeviceCopies.DEVICE, 8);
    DeviceMemory part = memory.slice(4, 4);
    try (CudaCall call = new CudaCall("test", DeviceCopies.DEVICE)) {
      call.memory("part", part, 4);
      call.memory("part", part, 4);
      assertThatIllegalStateException()
          .isThrownBy(memory::close)
          .withMessage("DeviceMemory is in use by another call");
    }
    memory.close();
    assertThatIllegalStateException().isThrownBy(part::hold).withMessage("DeviceMemory is closed");
  }

  @Test
  void wrongDeltasAndGradientsAreRefused() {
    assertRefused(
        Status.BAD_SHAPE,
        "CudaKronAdapter.writeDelta: w has 120 bytes, needed are 240",
        () -> adapter.writeDelta(1, false, DType.F16, y, 8, null));
    assertRefused(
        Status.BAD_SHAPE,
        "w_stride is 7",
        () -> adapter.writeDelta(1, false, DType.F16, scratch, 7, null));
    assertRefused(
        Status.BAD_VALUE,
        "type is 8",
        () -> adapter.writeDelta(1, false, DType.Q8_0, scratch, 8, null));
    assertRefused(
        Status.NULL_ARGUMENT,
        "wType is null",
        () -> adapter.writeDelta(1, false, null, scratch, 8, null));
    assertRefused(
        Status.BAD_SHAPE,
        "CudaKronAdapter.addGradient: du has 80 bytes, needed are 96",
        () -> adapter.addGradient(1, x, y, 2, v, v, null, scratch, null));
    assertRefused(
        Status.BAD_SHAPE,
        "CudaKronAdapter.addGradient: dv has 64 bytes, needed are 80",
        () -> adapter.addGradient(1, x, y, 2, u, x, null, scratch, null));
    assertRefused(
        Status.BAD_SHAPE,
        "CudaKronAdapter.addGradient: dx has 32 bytes, needed are 64",
        () -> adapter.addGradient(1, x, y, 2, u, v, x.slice(0, 32), scratch, null));
    CudaKronAdapter half = CudaKronAdapter.of(DType.F16, 2, SHAPE, u, v);
    assertRefused(
        Status.UNSUPPORTED,
        "gradients need SYL_F32",
        () -> half.addGradient(1, x, y, 2, u, v, null, scratch, null));
  }

  private static CudaKronSegments segments(CudaKronAdapter of) {
    return CudaKronSegments.of(List.of(new Segment(1, of, 1), new Segment(1, of, 2)), 15, 8);
  }

  @Test
  void wrongSegmentsAreRefused() {
    CudaKronSegments good = segments(adapter);
    good.apply(x, 8, false, y, 15, scratch, null);
    assertRefused(
        Status.BAD_SHAPE,
        "CudaKronSegments.apply: x has 64 bytes, needed are 68",
        () -> good.apply(x, 9, false, y, 15, scratch, null));
    assertRefused(
        Status.WORKSPACE,
        "workspace_bytes is 8",
        () -> good.apply(x, 8, false, y, 15, scratch.slice(0, 8), null));
    assertRefused(
        Status.BAD_VALUE,
        "CudaKronSegments.of: rows of segment 1 is -1",
        () ->
            CudaKronSegments.of(
                List.of(new Segment(1, adapter, 1), new Segment(-1, adapter, 1)), 15, 8));
    assertRefused(
        Status.NULL_ARGUMENT,
        "CudaKronSegments.of: segment 1 is null",
        () -> CudaKronSegments.of(Arrays.asList(new Segment(1, adapter, 1), null), 15, 8));
    assertRefused(
        Status.BAD_SHAPE,
        "segments->kron[0] is 15 x 8, must be 14 x 8",
        () ->
            CudaKronSegments.of(List.of(new Segment(1, adapter, 1)), 14, 8)
                .apply(x, 8, false, y, 15, scratch, null));
    assertRefused(
        Status.BAD_VALUE,
        "segments->scale[0] is inf",
        () ->
            CudaKronSegments.of(List.of(new Segment(1, adapter, Float.POSITIVE_INFINITY)), 15, 8)
                .apply(x, 8, false, y, 15, scratch, null));
    DeviceMemory farU = DeviceMemory.foreign(DeviceCopies.OTHER, u.memory());
    DeviceMemory farV = DeviceMemory.foreign(DeviceCopies.OTHER, v.memory());
    CudaKronAdapter far = CudaKronAdapter.of(DType.F32, 2, SHAPE, farU, farV);
    assertRefused(
        Status.BAD_VALUE,
        "u is on device 1, not 0",
        () -> segments(far).apply(x, 8, false, y, 15, scratch, null));
  }
}
