package dev.sylvester.cuda;

/** Shares memory and a stream with JavaCPP, whether it is there or not. */
final class PresetsMain {
  private PresetsMain() {}

  public static void main(String[] args) {
    CudaDevice device = CudaDevice.of(0);
    System.out.println("available " + CudaPresets.available());
    try (DeviceMemory memory = DeviceMemory.of(device, 1, 2);
        CudaStream stream = CudaStream.of(device)) {
      attempt(() -> CudaPresets.stream(stream));
      attempt(() -> CudaPresets.pointer(memory));
      attempt(() -> CudaPresets.floats(memory));
    }
  }

  private static void attempt(Runnable call) {
    try {
      call.run();
      System.out.println("done");
    } catch (RuntimeException e) {
      System.out.println(e);
    }
  }
}
