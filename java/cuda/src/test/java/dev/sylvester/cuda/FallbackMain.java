package dev.sylvester.cuda;

import dev.sylvester.kernels.Hadamard;
import dev.sylvester.kernels.SylvesterException;
import java.util.Arrays;

/** What a program does that would like to use CUDA and can do without. */
final class FallbackMain {
  private FallbackMain() {}

  public static void main(String[] args) {
    System.out.println(CudaDevice.describe().text());
    System.out.println("count " + CudaDevice.count());
    float[] x = {1, 2, 3, 4};
    if (CudaDevice.available()) {
      CudaDevice device = CudaDevice.of(0);
      try (CudaHadamard plan = CudaHadamard.of(Hadamard.of(4), device);
          DeviceMemory memory = DeviceMemory.of(device, x)) {
        plan.apply(memory, memory, null);
        memory.copyTo(x, null);
      }
    } else {
      Hadamard.transform(x, 4);
      tryMadeUpDevice();
    }
    System.out.println(Arrays.toString(x) + " from " + (CudaDevice.available() ? "CUDA" : "CPU"));
  }

  private static void tryMadeUpDevice() {
    CudaDevice device = new CudaDevice(7, "made up", false, 9, 0, 1, 1);
    for (int i = 0; i < 2; i++) {
      try (DeviceMemory memory = DeviceMemory.allocate(device, 8)) {
        System.out.println("there is " + memory);
      } catch (SylvesterException e) {
        System.out.println("refused " + e.status());
      }
    }
  }
}
