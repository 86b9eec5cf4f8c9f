package dev.sylvester.cuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import dev.sylvester.cuda.ffi.CudaFfi;
import dev.sylvester.cuda.ffi.syl_cuda_device;
import dev.sylvester.cuda.internal.CudaLibrary;
import dev.sylvester.cuda.internal.DeviceSetting;
import dev.sylvester.kernels.Status;
import dev.sylvester.kernels.SylvesterException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/**
 * A CUDA device. The system property {@code sylvester.device}, or else the environment variable
 * {@code SYLVESTER_DEVICE}, says which there are:
 *
 * <ul>
 *   <li>{@code auto}, the default: those that the driver has; without library, driver or device
 *       there is none, and {@link CudaDescription#reason()} says why;
 *   <li>{@code cpu}: none;
 *   <li>{@code cuda}: those that the driver has; it is an error if there is none;
 *   <li>{@code emulator}: the host, slowly, as a device for tests; it is an error if there is none.
 * </ul>
 *
 * @param index number of the device, from 0
 * @param name what the vendor calls it
 * @param emulated whether it is the host
 * @param major compute capability, before the dot
 * @param minor compute capability, after the dot
 * @param multiprocessors number of multiprocessors
 * @param memory bytes
 */
public record CudaDevice(
    int index,
    String name,
    boolean emulated,
    int major,
    int minor,
    int multiprocessors,
    long memory) {

  /**
   * Whether there is a device. Never touches one before the first call.
   *
   * @return false: compute on the processor
   * @throws SylvesterException (UNSUPPORTED, with the reason) if one was asked for and there is
   *     none; (BAD_VALUE) if sylvester.device is unknown
   */
  public static boolean available() {
    CudaDescription description = describe();
    description.check();
    return description.available();
  }

  /**
   * Whether a device, or the emulator, was asked for. Looks for none.
   *
   * @return true if sylvester.device is cuda or emulator
   * @throws SylvesterException (BAD_VALUE) if sylvester.device is unknown
   */
  public static boolean forced() {
    return DeviceSetting.ofThisProcess().choice().forced();
  }

  /**
   * What there is, and why not more. Looks once.
   *
   * @return a description; {@link CudaDescription#text()} is for people
   * @throws SylvesterException (BAD_VALUE) if sylvester.device is unknown
   */
  public static CudaDescription describe() {
    return CudaDescription.ofThisProcess();
  }

  /**
   * All devices.
   *
   * @return the devices in the order of their indices; empty where there is none
   * @throws SylvesterException as {@link #available}
   */
  public static List<CudaDevice> all() {
    return available() ? describe().devices() : List.of();
  }

  /**
   * Number of devices.
   *
   * @return 0 where there is none
   * @throws SylvesterException as {@link #available}
   */
  public static int count() {
    return all().size();
  }

  /**
   * A device.
   *
   * @param index 0 .. {@link #count()} - 1
   * @return the device
   * @throws SylvesterException (UNSUPPORTED, with the reason) if there is none at all; (BAD_VALUE)
   *     if there is none of this index
   */
  public static CudaDevice of(int index) {
    List<CudaDevice> devices = all();
    if (devices.isEmpty()) {
      throw new SylvesterException(
          Status.UNSUPPORTED, "CudaDevice.of: no CUDA device: " + describe().reason());
    }
    if (index < 0 || index >= devices.size()) {
      throw new SylvesterException(
          Status.BAD_VALUE,
          "CudaDevice.of: index is " + index + ", must be 0.." + (devices.size() - 1));
    }
    return devices.get(index);
  }

  /**
   * Makes it the current device of the calling thread in the CUDA runtime. This package does so
   * itself in every call that depends on it; other libraries on the same thread, such as cuBLAS,
   * need it.
   *
   * @throws SylvesterException (UNSUPPORTED) if there is no library, (BAD_VALUE) if it has no
   *     device of this index
   */
  public void use() {
    CudaLibrary.lookup(); // anybody can make up a device
    Args.check(CudaFfi.syl_cuda_device_use(index));
  }

  /** The devices of the loaded library. */
  static List<CudaDevice> load() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment count = arena.allocate(JAVA_INT);
      Args.check(CudaFfi.syl_cuda_device_count(count));
      List<CudaDevice> devices = new ArrayList<>();
      for (int i = 0; i < count.get(JAVA_INT, 0); i++) {
        devices.add(load(i, arena));
      }
      return List.copyOf(devices);
    }
  }

  private static CudaDevice load(int index, Arena arena) {
    MemorySegment info = arena.allocate(syl_cuda_device.layout());
    syl_cuda_device.struct_size(info, (int) syl_cuda_device.sizeof());
    Args.check(CudaFfi.syl_cuda_device_info(index, info));
    return new CudaDevice(
        index,
        syl_cuda_device.name(info).getString(0),
        syl_cuda_device.emulated(info) != 0,
        syl_cuda_device.major(info),
        syl_cuda_device.minor(info),
        syl_cuda_device.multiprocessors(info),
        syl_cuda_device.memory(info));
  }
}
