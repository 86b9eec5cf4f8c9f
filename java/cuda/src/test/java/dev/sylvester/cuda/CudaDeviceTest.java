package dev.sylvester.cuda;

import static dev.sylvester.kernels.TestData.assertRefused;
import static org.assertj.core.api.Assertions.assertThat;

import dev.sylvester.kernels.Status;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

class CudaDeviceTest {
  @Test
  void theEmulatorIsADevice() {
    assertThat(CudaDevice.available()).isTrue();
    assertThat(CudaDevice.count()).isPositive().isEqualTo(CudaDevice.all().size());
    CudaDevice device = CudaDevice.of(0);
    assertThat(device).isSameAs(CudaDevice.all().getFirst());
    assertThat(device.index()).isZero();
    assertThat(device.emulated()).isTrue();
    assertThat(device.name()).isNotBlank();
    assertThat(device.major()).isPositive();
    assertThat(device.minor()).isNotNegative();
    assertThat(device.multiprocessors()).isPositive();
    assertThat(device.memory()).isPositive();
    device.use();
  }

  @Test
  void indexOutOfRangeIsRefused() {
    int count = CudaDevice.count();
    for (int index : new int[] {-1, count, Integer.MAX_VALUE, Integer.MIN_VALUE}) {
      assertRefused(
          Status.BAD_VALUE,
          "CudaDevice.of: index is " + index + ", must be 0.." + (count - 1),
          () -> CudaDevice.of(index));
    }
  }

  @Test
  void usingADeviceThatIsNotThereIsRefused() {
    CudaDevice real = CudaDevice.of(0);
    CudaDevice false_ = new CudaDevice(99, real.name(), true, 9, 0, 1, 1);
    assertRefused(Status.BAD_VALUE, "syl_cuda_device_use", false_::use);
    assertRefused(
        Status.BAD_VALUE, "syl_cuda_device_use", () -> DeviceMemory.allocate(false_, 256));
  }

  @Test
  void describesWhatThereIs() {
    CudaDescription description = CudaDevice.describe();
    assertThat(description.available()).isTrue();
    assertThat(description.reason()).isNull();
    assertThat(description.forced()).isTrue();
    assertThat(description.setting()).isEqualTo("-Dsylvester.device=emulator");
    assertThat(description.library()).isEqualTo(Path.of(System.getProperty("sylvester.cuda.path")));
    assertThat(description.devices()).isEqualTo(CudaDevice.all());
    assertThat(description.text())
        .startsWith("gpu       0: " + CudaDevice.of(0).name())
        .contains("(on the host, for tests)")
        .contains("cuda      " + description.library());
  }
}
