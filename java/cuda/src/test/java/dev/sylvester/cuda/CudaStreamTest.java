package dev.sylvester.cuda;

import static dev.sylvester.kernels.TestData.assertRefused;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import dev.sylvester.kernels.Status;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;

class CudaStreamTest {
  private static final CudaDevice DEVICE = CudaDevice.of(0);

  @Test
  void workOfAStreamRunsInOrder() {
    try (CudaStream stream = CudaStream.of(DEVICE);
        DeviceMemory a = DeviceMemory.allocate(DEVICE, 1 << 16);
        DeviceMemory b = DeviceMemory.allocate(DEVICE, 1 << 16)) {
      for (int i = 1; i <= 20; i++) {
        a.fill((byte) i, stream);
        b.copyFrom(a, stream);
      }
      stream.await();
      assertThat(DeviceMemoryTest.bytes(b)).containsOnly(20);
    }
  }

  @Test
  void streamsServeTheirThreads() throws Exception {
    try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      List<Future<float[]>> results = new ArrayList<>();
      for (int i = 0; i < 16; i++) {
        float value = i + 1;
        results.add(
            threads.submit(
                () -> {
                  try (CudaStream stream = CudaStream.of(DEVICE);
                      DeviceMemory memory = DeviceMemory.allocate(DEVICE, 8)) {
                    memory.copyFrom(new float[] {value, -value}, stream);
                    float[] back = new float[2];
                    memory.copyTo(back, stream);
                    return back;
                  }
                }));
      }
      for (int i = 0; i < 16; i++) {
        assertThat(results.get(i).get()).containsExactly(i + 1, -i - 1);
      }
    }
  }

  @Test
  void handleLivesAsLongAsTheStream() {
    CudaStream stream = CudaStream.of(DEVICE);
    MemorySegment handle = stream.handle();
    assertThat(handle.address()).isNotZero();
    assertThat(handle.byteSize()).isZero();
    assertThat(stream.device()).isSameAs(DEVICE);
    stream.await();
    stream.close();
    stream.close();
    assertThat(handle.scope().isAlive()).isFalse();
    assertThatIllegalStateException().isThrownBy(stream::await).withMessage("CudaStream is closed");
    assertThatIllegalStateException().isThrownBy(stream::handle);
    assertRefused(Status.NULL_ARGUMENT, "device is null", () -> CudaStream.of(null));
  }

  @Test
  void eventsTakeTheTime() throws InterruptedException {
    try (CudaStream stream = CudaStream.of(DEVICE);
        CudaEvent start = CudaEvent.of(DEVICE);
        CudaEvent end = CudaEvent.of(DEVICE)) {
      start.record(stream);
      start.await();
      Thread.sleep(5);
      end.record(stream);
      end.await();
      assertThat(end.millisecondsSince(start)).isBetween(4f, 60_000f);
      assertThat(start.millisecondsSince(start)).isZero();
      start.record(null);
      start.await();
    }
  }

  @Test
  void eventThatWasNotRecordedHasNoTime() {
    try (CudaEvent start = CudaEvent.of(DEVICE);
        CudaEvent end = CudaEvent.of(DEVICE)) {
      end.await();
      end.record(null);
      assertRefused(Status.INTERNAL, "syl_cuda_event_elapsed", () -> end.millisecondsSince(start));
      assertRefused(
          Status.NULL_ARGUMENT,
          "millisecondsSince: start is null",
          () -> end.millisecondsSince(null));
    }
  }

  @Test
  void closedEventIsRefused() {
    CudaEvent event = CudaEvent.of(DEVICE);
    event.close();
    event.close();
    try (CudaStream stream = CudaStream.of(DEVICE);
        CudaEvent other = CudaEvent.of(DEVICE)) {
      for (Runnable call :
          new Runnable[] {
            () -> event.record(stream),
            event::await,
            () -> event.millisecondsSince(other),
            () -> other.millisecondsSince(event)
          }) {
        assertThatIllegalStateException().isThrownBy(call::run).withMessage("CudaEvent is closed");
      }
    }
  }
}
