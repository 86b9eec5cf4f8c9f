package dev.sylvester.cuda;

import static dev.sylvester.kernels.TestData.assertRefused;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import dev.sylvester.kernels.Status;
import org.bytedeco.cuda.cudart.CUstream_st;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.Pointer;
import org.junit.jupiter.api.Test;

/** On the emulator, whose memory JavaCPP can read. */
class CudaPresetsTest {
  private static final CudaDevice DEVICE = CudaDevice.of(0);

  @Test
  void pointerIsTheSameMemory() {
    assertThat(CudaPresets.available()).isTrue();
    try (DeviceMemory memory = DeviceMemory.of(DEVICE, 1, 2, 3, 4, 5)) {
      FloatPointer floats = CudaPresets.floats(memory);
      assertThat(floats.address()).isEqualTo(memory.segment().address());
      assertThat(floats.position()).isZero();
      assertThat(floats.limit()).isEqualTo(5);
      assertThat(floats.capacity()).isEqualTo(5);
      assertThat(floats.get(3)).isEqualTo(4);
      floats.put(3, -4);
      assertThat(DeviceMemoryTest.floats(memory)).containsExactly(1, 2, 3, -4, 5);
      Pointer bytes = CudaPresets.pointer(memory);
      assertThat(bytes.address()).isEqualTo(floats.address());
      assertThat(bytes.limit()).isEqualTo(20);
      assertThat(bytes.capacity()).isEqualTo(20);
      FloatPointer part = CudaPresets.floats(memory.slice(4, 8));
      assertThat(part.address()).isEqualTo(floats.address() + 4);
      assertThat(part.capacity()).isEqualTo(2);
    }
  }

  @Test
  void closingTheViewLeavesTheMemory() {
    try (DeviceMemory memory = DeviceMemory.of(DEVICE, 1, 2)) {
      FloatPointer floats = CudaPresets.floats(memory);
      floats.close();
      floats.deallocate();
      assertThat(DeviceMemoryTest.floats(memory)).containsExactly(1, 2);
    }
  }

  @Test
  void memoryOfAPointerIsTheSame() {
    try (FloatPointer floats = new FloatPointer(1, 2, 3, 4, 5, 6)) {
      DeviceMemory all = CudaPresets.memory(floats, DEVICE);
      assertThat(all.segment().address()).isEqualTo(floats.address());
      assertThat(all.byteSize()).isEqualTo(24);
      assertThat(all.device()).isSameAs(DEVICE);
      DeviceMemory part = CudaPresets.memory(floats.position(1).limit(4), DEVICE);
      assertThat(part.segment().address()).isEqualTo(floats.address() + 4);
      assertThat(DeviceMemoryTest.floats(part)).containsExactly(2, 3, 4);
      part.copyFrom(new float[3], null);
      part.close();
      all.close();
      floats.position(0).limit(6);
      float[] values = new float[6];
      floats.get(values);
      assertThat(values).containsExactly(1, 0, 0, 0, 5, 6);
      FloatPointer again = CudaPresets.floats(all);
      assertThat(again).isEqualTo(floats);
      assertThat(again.capacity()).isEqualTo(6);
    }
  }

  @Test
  void pointersWithoutMemoryAreRefused() {
    assertRefused(
        Status.BAD_VALUE,
        "CudaPresets.memory: pointer is",
        () -> CudaPresets.memory(new FloatPointer((Pointer) null), DEVICE));
    try (FloatPointer floats = new FloatPointer(1, 2)) {
      assertRefused(
          Status.BAD_VALUE,
          "without elements",
          () -> CudaPresets.memory(floats.position(2), DEVICE));
      assertRefused(Status.NULL_ARGUMENT, "device is null", () -> CudaPresets.memory(floats, null));
    }
    assertRefused(Status.NULL_ARGUMENT, "pointer is null", () -> CudaPresets.memory(null, DEVICE));
    assertRefused(Status.NULL_ARGUMENT, "memory is null", () -> CudaPresets.floats(null));
    DeviceMemory closed = DeviceMemory.of(DEVICE, 1);
    closed.close();
    assertThatIllegalStateException().isThrownBy(() -> CudaPresets.floats(closed));
  }

  @Test
  void streamsAreTheSame() {
    try (CudaStream stream = CudaStream.of(DEVICE)) {
      CUstream_st view = CudaPresets.stream(stream);
      assertThat(view.address()).isEqualTo(stream.handle().address());
      CudaStream back = CudaPresets.stream(view, DEVICE);
      assertThat(back.handle()).isEqualTo(stream.handle());
      assertThat(back.device()).isSameAs(DEVICE);
      back.await();
      back.close();
      back.await();
    }
    assertThat(CudaPresets.stream(null).isNull()).isTrue();
    CudaStream standard = CudaPresets.stream(new CUstream_st(), DEVICE);
    assertThat(standard.handle().address()).isZero();
    standard.await();
  }
}
