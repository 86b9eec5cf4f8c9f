package dev.sylvester.cuda;

import static dev.sylvester.kernels.TestData.assertRefused;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import dev.sylvester.kernels.DType;
import dev.sylvester.kernels.Hadamard;
import dev.sylvester.kernels.HadamardOptions;
import dev.sylvester.kernels.HadamardOptions.Quantizer;
import dev.sylvester.kernels.Status;
import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.Test;

/** What {@link CudaHadamard} does not do. */
class CudaHadamardRefusalsTest {
  private static final CudaDevice DEVICE = CudaDevice.of(0);

  @Test
  void smallMemoryIsRefused() {
    try (CudaHadamard plan = CudaHadamard.of(Hadamard.of(64).rows(3), DEVICE);
        DeviceMemory enough = DeviceMemory.allocate(DEVICE, 768);
        DeviceMemory small = DeviceMemory.allocate(DEVICE, 767)) {
      assertRefused(
          Status.BAD_SHAPE,
          "CudaHadamard.apply: x has 767 bytes, needed are 768",
          () -> plan.apply(small, enough, null));
      assertRefused(
          Status.BAD_SHAPE,
          "CudaHadamard.apply: y has 767 bytes",
          () -> plan.apply(enough, small, null));
      assertRefused(
          Status.BAD_SHAPE,
          "CudaHadamard.applyTransposed: y has 767 bytes",
          () -> plan.applyTransposed(small, enough, null));
      assertRefused(
          Status.BAD_SHAPE,
          "CudaHadamard.applyTransposed: x has 767 bytes",
          () -> plan.applyTransposed(enough, small, null));
      plan.apply(small, small, 0, 2, null, null);
    }
  }

  @Test
  void smallOrMissingScalesAreRefused() {
    HadamardOptions options = Hadamard.of(64).rows(3).quantizer(Quantizer.U4, 32);
    try (CudaHadamard plan = CudaHadamard.of(options, DEVICE);
        DeviceMemory x = DeviceMemory.allocate(DEVICE, 768);
        DeviceMemory codes = DeviceMemory.allocate(DEVICE, 96);
        DeviceMemory scales = DeviceMemory.allocate(DEVICE, 24);
        DeviceMemory zeros = DeviceMemory.allocate(DEVICE, 24);
        DeviceMemory small = DeviceMemory.allocate(DEVICE, 23)) {
      plan.quantize(x, codes, scales, zeros, 0, 3, null, null);
      assertRefused(
          Status.BAD_SHAPE,
          "CudaHadamard.quantize: scales has 23 bytes, needed are 24",
          () -> plan.quantize(x, codes, small, zeros, 0, 3, null, null));
      assertRefused(
          Status.BAD_SHAPE,
          "CudaHadamard.quantize: zeros has 23 bytes",
          () -> plan.quantize(x, codes, scales, small, 0, 3, null, null));
      assertRefused(
          Status.BAD_SHAPE,
          "CudaHadamard.quantize: codes has 23 bytes",
          () -> plan.quantize(x, small, scales, zeros, 0, 3, null, null));
      assertRefused(
          Status.NULL_ARGUMENT,
          "CudaHadamard.quantize: scales is null",
          () -> plan.quantize(x, codes, null, zeros, 0, 3, null, null));
      assertRefused(
          Status.NULL_ARGUMENT,
          "zeros",
          () -> plan.quantize(x, codes, scales, null, 0, 3, null, null));
      assertRefused(
          Status.OVERLAP,
          "syl_cuda_hadamard_run",
          () -> plan.quantize(x, codes, x.slice(0, 24), zeros, 0, 3, null, null));
      assertRefused(
          Status.UNSUPPORTED,
          "CudaHadamard.apply: plan has the quantizer U4, call quantize",
          () -> plan.apply(x, x, null));
      assertRefused(
          Status.UNSUPPORTED,
          "syl_cuda_hadamard_run_transposed",
          () -> plan.applyTransposed(x, x, null));
    }
  }

  @Test
  void wrongArgumentsAreRefused() {
    CudaDevice other = new CudaDevice(1, "another", true, 9, 0, 1, 1);
    CudaHadamard plan = CudaHadamard.of(Hadamard.of(64).rows(2), DEVICE);
    try (DeviceMemory x = DeviceMemory.allocate(DEVICE, 1024)) {
      assertRefused(
          Status.NULL_ARGUMENT, "CudaHadamard.apply: x is null", () -> plan.apply(null, x, null));
      assertRefused(Status.BAD_VALUE, "first is -1", () -> plan.apply(x, x, -1, 1, null, null));
      assertRefused(Status.BAD_VALUE, "count is 2", () -> plan.apply(x, x, 1, 2, null, null));
      assertRefused(Status.BAD_VALUE, "count is -1", () -> plan.apply(x, x, 0, -1, null, null));
      assertRefused(
          Status.OVERLAP,
          "syl_cuda_hadamard_run",
          () -> plan.apply(x.slice(0, 512), x.slice(4, 512), null));
      assertRefused(
          Status.UNSUPPORTED,
          "CudaHadamard.quantize: plan has no quantizer, call apply",
          () -> plan.quantize(x, x, x, x, 0, 1, null, null));
      DeviceMemory far = DeviceMemory.foreign(other, x.segment().asSlice(0, 0));
      assertRefused(
          Status.BAD_VALUE,
          "CudaHadamard.apply: y is on device 1, not 0",
          () -> plan.apply(x, far, null));
      CudaStream stream = CudaStream.foreign(other, MemorySegment.NULL);
      assertRefused(
          Status.BAD_VALUE,
          "CudaHadamard.apply: stream is on device 1, not 0",
          () -> plan.apply(x, x, stream));
      plan.close();
      plan.close();
      assertThatIllegalStateException()
          .isThrownBy(() -> plan.apply(x, x, null))
          .withMessage("CudaHadamard is closed");
      assertThatIllegalStateException().isThrownBy(() -> plan.workspaceBytes(1));
    }
  }

  @Test
  void smallWorkspaceIsRefused() {
    try (CudaHadamard plan = CudaHadamard.of(Hadamard.of(1 << 17), DEVICE);
        DeviceMemory x = DeviceMemory.allocate(DEVICE, 1 << 19)) {
      assertThat(plan.workspaceBytes(1)).as("this plan needs a workspace").isPositive();
      assertRefused(Status.NULL_ARGUMENT, "workspace", () -> plan.apply(x, x, null));
      try (DeviceMemory small = DeviceMemory.allocate(DEVICE, plan.workspaceBytes(1) - 1)) {
        assertRefused(Status.WORKSPACE, "workspace", () -> plan.apply(x, x, 0, 1, small, null));
      }
    }
  }

  @Test
  void impossiblePlansAreRefused() {
    assertRefused(
        Status.UNSUPPORTED,
        "syl_cuda_hadamard_new",
        () -> CudaHadamard.of(Hadamard.of(64).type(DType.F64), DEVICE));
    assertRefused(Status.BAD_SHAPE, "n", () -> CudaHadamard.of(Hadamard.of(100), DEVICE));
    assertRefused(Status.NULL_ARGUMENT, "options is null", () -> CudaHadamard.of(null, DEVICE));
    assertRefused(
        Status.NULL_ARGUMENT, "device is null", () -> CudaHadamard.of(Hadamard.of(64), null));
  }
}
