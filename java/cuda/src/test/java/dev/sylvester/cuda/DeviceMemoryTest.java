package dev.sylvester.cuda;

import static dev.sylvester.kernels.TestData.assertRefused;
import static dev.sylvester.kernels.TestData.gaussian;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.sylvester.kernels.Status;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@SuppressWarnings("restricted")
class DeviceMemoryTest {
  private static final CudaDevice DEVICE = CudaDevice.of(0);

  /** More floats than the buffer for arrays holds, and sizes around it. */
  @ParameterizedTest
  @ValueSource(ints = {1, 3, 1000, 262_143, 262_144, 262_145, 700_001})
  void arraysTravelThereAndBack(int count) {
    float[] values = gaussian(count, count);
    float[] back = new float[count];
    try (CudaStream stream = CudaStream.of(DEVICE);
        DeviceMemory memory = DeviceMemory.allocate(DEVICE, 4L * count)) {
      memory.copyFrom(values, stream);
      memory.copyTo(back, stream);
    }
    assertThat(back).isEqualTo(values);
  }

  @Test
  void nativeSegmentsTravelThereAndBack() {
    float[] values = gaussian(1, 1000);
    try (Arena arena = Arena.ofConfined();
        DeviceMemory memory = DeviceMemory.allocate(DEVICE, 4000)) {
      memory.copyFrom(arena.allocateFrom(JAVA_FLOAT, values), null);
      MemorySegment back = arena.allocate(4000);
      memory.copyTo(back, null);
      assertThat(back.toArray(JAVA_FLOAT)).isEqualTo(values);
    }
  }

  @Test
  void memoryOfAnArrayHoldsIt() {
    float[] values = gaussian(2, 77);
    try (DeviceMemory memory = DeviceMemory.of(DEVICE, values)) {
      assertThat(memory.byteSize()).isEqualTo(77 * 4);
      assertThat(memory.device()).isSameAs(DEVICE);
      assertThat(memory.segment().address() % 256).isZero();
      assertThat(floats(memory)).isEqualTo(values);
    }
  }

  @Test
  void shortCopiesTouchTheStartAlone() {
    try (DeviceMemory memory = DeviceMemory.of(DEVICE, 1, 2, 3, 4)) {
      memory.copyFrom(new float[] {9, 8}, null);
      assertThat(floats(memory)).containsExactly(9, 8, 3, 4);
      float[] part = new float[3];
      memory.copyTo(part, null);
      assertThat(part).containsExactly(9, 8, 3);
      memory.copyFrom(new float[0], null);
      memory.copyTo(new float[0], null);
      assertThat(floats(memory)).containsExactly(9, 8, 3, 4);
    }
  }

  @Test
  void slicesAreTheSameMemory() {
    try (DeviceMemory memory = DeviceMemory.of(DEVICE, 0, 1, 2, 3, 4, 5, 6, 7)) {
      DeviceMemory slice = memory.slice(8, 16);
      assertThat(slice.byteSize()).isEqualTo(16);
      assertThat(slice.segment().address()).isEqualTo(memory.segment().address() + 8);
      assertThat(floats(slice)).containsExactly(2, 3, 4, 5);
      DeviceMemory inner = slice.slice(4, 8);
      inner.copyFrom(new float[] {-1, -2}, null);
      assertThat(floats(memory)).containsExactly(0, 1, 2, -1, -2, 5, 6, 7);
      assertThat(slice.slice(16, 0).byteSize()).isZero();
      assertRefused(Status.BAD_SHAPE, "slice: offset is 12, bytes is 8", () -> slice.slice(12, 8));
      assertRefused(Status.BAD_SHAPE, "offset is -4", () -> slice.slice(-4, 8));
      assertRefused(Status.BAD_SHAPE, "bytes is -1", () -> slice.slice(4, -1));
      assertRefused(Status.BAD_SHAPE, "offset is", () -> slice.slice(Long.MAX_VALUE, 1));
      assertRefused(Status.BAD_SHAPE, "offset is", () -> slice.slice(1, Long.MAX_VALUE));
      slice.close();
      assertThat(floats(slice)).containsExactly(2, -1, -2, 5);
    }
  }

  @Test
  void everyByteIsFilled() {
    try (DeviceMemory memory = DeviceMemory.allocate(DEVICE, 1003)) {
      memory.fill((byte) 1, null);
      memory.slice(1, 1001).fill((byte) -2, null);
      byte[] expected = new byte[1003];
      Arrays.fill(expected, (byte) -2);
      expected[0] = 1;
      expected[1002] = 1;
      assertThat(bytes(memory)).isEqualTo(expected);
      memory.slice(1003, 0).fill((byte) 5, null);
      assertThat(bytes(memory)).isEqualTo(expected);
    }
  }

  @Test
  void memoryIsCopiedOnTheDevice() {
    try (CudaStream stream = CudaStream.of(DEVICE);
        DeviceMemory a = DeviceMemory.of(DEVICE, 1, 2, 3);
        DeviceMemory b = DeviceMemory.of(DEVICE, 4, 5, 6, 7)) {
      b.copyFrom(a, stream);
      stream.await();
      assertThat(floats(b)).containsExactly(1, 2, 3, 7);
      b.slice(8, 8).copyFrom(b.slice(0, 8), stream);
      stream.await();
      assertThat(floats(b)).containsExactly(1, 2, 1, 2);
      assertRefused(
          Status.BAD_SHAPE,
          "copyFrom: other has 16 bytes, the memory 12",
          () -> a.copyFrom(b, stream));
      assertRefused(
          Status.OVERLAP,
          "copyFrom: other overlaps",
          () -> b.slice(0, 8).copyFrom(b.slice(4, 8), stream));
    }
  }

  @Test
  void largerHostMemoryIsRefused() {
    try (Arena arena = Arena.ofConfined();
        DeviceMemory memory = DeviceMemory.of(DEVICE, 1, 2)) {
      MemorySegment nine = arena.allocate(9);
      String message = "host has 9 bytes, the memory 8";
      assertRefused(Status.BAD_SHAPE, "copyFrom: " + message, () -> memory.copyFrom(nine, null));
      assertRefused(Status.BAD_SHAPE, "copyTo: " + message, () -> memory.copyTo(nine, null));
      assertRefused(
          Status.BAD_SHAPE, "host has 12 bytes", () -> memory.copyFrom(new float[3], null));
      assertRefused(Status.BAD_SHAPE, "host has 12 bytes", () -> memory.copyTo(new float[3], null));
      assertThat(floats(memory)).containsExactly(1, 2);
    }
  }

  @Test
  void unusableHostMemoryIsRefused() {
    MemorySegment closed;
    try (Arena arena = Arena.ofConfined()) {
      closed = arena.allocate(8);
    }
    try (Arena arena = Arena.ofConfined();
        DeviceMemory memory = DeviceMemory.of(DEVICE, 1, 2)) {
      assertRefused(
          Status.NULL_ARGUMENT,
          "copyFrom: host is null",
          () -> memory.copyFrom((MemorySegment) null, null));
      assertRefused(
          Status.NULL_ARGUMENT, "copyTo: host is null", () -> memory.copyTo((float[]) null, null));
      assertRefused(
          Status.NULL_ARGUMENT,
          "copyFrom: other is null",
          () -> memory.copyFrom((DeviceMemory) null, null));
      assertRefused(
          Status.BAD_VALUE,
          "copyTo: host is read-only",
          () -> memory.copyTo(arena.allocate(8).asReadOnly(), null));
      assertRefused(
          Status.BAD_VALUE,
          "copyTo: host is read-only",
          () -> memory.copyTo(MemorySegment.ofArray(new int[2]).asReadOnly(), null));
      assertThatIllegalStateException().isThrownBy(() -> memory.copyFrom(closed, null));
      assertThatIllegalStateException().isThrownBy(() -> memory.copyTo(closed, null));
      MemorySegment confined = arena.allocate(8);
      assertThatThrownBy(
              () -> CompletableFuture.runAsync(() -> memory.copyTo(confined, null)).join())
          .isInstanceOf(CompletionException.class)
          .hasCauseInstanceOf(WrongThreadException.class);
      assertThat(floats(memory)).containsExactly(1, 2);
    }
  }

  @Test
  void impossibleSizesAreRefused() {
    for (long bytes : new long[] {0, -1, Long.MIN_VALUE}) {
      assertRefused(
          Status.BAD_VALUE, "syl_cuda_malloc: bytes", () -> DeviceMemory.allocate(DEVICE, bytes));
    }
    for (long bytes : new long[] {1L << 50, Long.MAX_VALUE}) {
      assertRefused(
          Status.OUT_OF_MEMORY, "syl_cuda_malloc", () -> DeviceMemory.allocate(DEVICE, bytes));
    }
    assertRefused(Status.NULL_ARGUMENT, "device is null", () -> DeviceMemory.allocate(null, 1));
    assertRefused(
        Status.NULL_ARGUMENT, "values is null", () -> DeviceMemory.of(DEVICE, (float[]) null));
  }

  @Test
  void closedMemoryIsRefused() {
    DeviceMemory memory = DeviceMemory.of(DEVICE, 1, 2);
    DeviceMemory slice = memory.slice(0, 4);
    MemorySegment handle = memory.segment();
    assertThat(handle.byteSize()).isZero();
    assertThat(handle.scope().isAlive()).isTrue();
    memory.close();
    memory.close();
    assertThat(handle.scope().isAlive()).isFalse();
    float[] host = new float[1];
    try (DeviceMemory other = DeviceMemory.of(DEVICE, 1, 2)) {
      for (DeviceMemory dead : new DeviceMemory[] {memory, slice}) {
        for (Runnable call :
            new Runnable[] {
              () -> dead.copyFrom(host, null),
              () -> dead.copyTo(host, null),
              () -> dead.copyFrom(other, null),
              () -> other.copyFrom(dead, null),
              () -> dead.fill((byte) 0, null),
              () -> dead.slice(0, 0),
              dead::segment
            }) {
          assertThatIllegalStateException()
              .isThrownBy(call::run)
              .withMessage("DeviceMemory is closed");
        }
      }
    }
  }

  @Test
  void closedStreamIsRefused() {
    CudaStream stream = CudaStream.of(DEVICE);
    stream.close();
    try (DeviceMemory memory = DeviceMemory.of(DEVICE, 1, 2)) {
      for (Runnable call :
          new Runnable[] {
            () -> memory.copyFrom(new float[1], stream),
            () -> memory.copyTo(new float[1], stream),
            () -> memory.copyFrom(memory.slice(0, 0), stream),
            () -> memory.fill((byte) 0, stream)
          }) {
        assertThatIllegalStateException().isThrownBy(call::run).withMessage("CudaStream is closed");
      }
      assertThat(floats(memory)).containsExactly(1, 2);
    }
  }

  @Test
  void memoryIsGivenBack() {
    DeviceMemory memory = DeviceMemory.allocate(DEVICE, 256);
    MemorySegment handle = MemorySegment.ofAddress(memory.segment().address());
    DeviceMemory same = DeviceMemory.foreign(DEVICE, handle.reinterpret(256));
    same.fill((byte) 1, null);
    memory.close();
    // The emulator knows what it has handed out.
    assertRefused(Status.INTERNAL, "cudaErrorInvalidValue", () -> same.fill((byte) 1, null));
  }

  static float[] floats(DeviceMemory memory) {
    float[] values = new float[(int) (memory.byteSize() / Float.BYTES)];
    memory.copyTo(values, null);
    return values;
  }

  static byte[] bytes(DeviceMemory memory) {
    byte[] values = new byte[(int) memory.byteSize()];
    memory.copyTo(MemorySegment.ofArray(values), null);
    return values;
  }

  static byte[] bytes(MemorySegment memory) {
    return memory.toArray(JAVA_BYTE);
  }
}
