package dev.sylvester.cuda;

import dev.sylvester.kernels.Status;
import dev.sylvester.kernels.SylvesterException;
import java.util.stream.Stream;
import org.bytedeco.cuda.cudart.CUstream_st;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.Pointer;

/**
 * The same memory and streams for JavaCPP and its CUDA presets, so that CUDA's own libraries work
 * on them. Nothing is copied: a view is the address of the other. Needs {@code
 * org.bytedeco:cuda-platform} beside this module.
 *
 * <pre>{@code
 * CudaDevice device = CudaDevice.of(0);
 * try (CudaStream stream = CudaStream.of(device);
 *     DeviceMemory a = DeviceMemory.of(device, aValues); // column-major, as in all of cuBLAS
 *     DeviceMemory b = DeviceMemory.of(device, bValues);
 *     DeviceMemory c = DeviceMemory.allocate(device, 4L * n * n);
 *     FloatPointer one = new FloatPointer(1f);
 *     FloatPointer zero = new FloatPointer(0f)) {
 *   device.use();
 *   cublasContext blas = new cublasContext();
 *   cublasCreate_v2(blas);
 *   cublasSetStream_v2(blas, CudaPresets.stream(stream));
 *   cublasSgemm_v2(blas, CUBLAS_OP_N, CUBLAS_OP_N, n, n, n,
 *       one, CudaPresets.floats(a), n,
 *       CudaPresets.floats(b), n,
 *       zero, CudaPresets.floats(c), n);
 *   c.copyTo(cValues, stream); // waits for the product
 *   cublasDestroy_v2(blas);
 * }
 * }</pre>
 *
 * <p>A view does not own: it must not be used after its original was closed or deallocated. A
 * pointer of JavaCPP does not notice that; memory and streams made here from JavaCPP's at least
 * keep theirs from the garbage collector.
 */
@SuppressWarnings("exports") // those who name the types have the modules; nobody else needs them
public final class CudaPresets {
  /** The class that could not be found; null if all are there. */
  private static final String MISSING =
      Stream.of("org.bytedeco.javacpp.Pointer", "org.bytedeco.cuda.cudart.CUstream_st")
          .filter(type -> !exists(type))
          .findFirst()
          .orElse(null);

  private CudaPresets() {}

  /**
   * Whether JavaCPP and its CUDA presets are there.
   *
   * @return true if the other methods can be used
   */
  public static boolean available() {
    return MISSING == null;
  }

  /**
   * JavaCPP's view of memory.
   *
   * @param memory the original
   * @return position 0, capacity in bytes
   * @throws SylvesterException (UNSUPPORTED) without JavaCPP
   * @throws IllegalStateException if the memory is closed
   */
  public static Pointer pointer(DeviceMemory memory) {
    require();
    Args.present("CudaPresets.pointer", "memory", memory);
    return PresetViews.pointer(memory);
  }

  /**
   * JavaCPP's view of memory as floats.
   *
   * @param memory the original
   * @return position 0, capacity in floats
   * @throws SylvesterException (UNSUPPORTED) without JavaCPP
   * @throws IllegalStateException if the memory is closed
   */
  public static FloatPointer floats(DeviceMemory memory) {
    require();
    Args.present("CudaPresets.floats", "memory", memory);
    return PresetViews.floats(memory);
  }

  /**
   * Memory of a device that JavaCPP allocated.
   *
   * @param pointer the original: memory of the device, from its position to its limit
   * @param device where it lies
   * @return the memory; closing it does nothing
   * @throws SylvesterException (UNSUPPORTED) without JavaCPP; (BAD_VALUE) if the pointer is null or
   *     has no limit
   */
  public static DeviceMemory memory(Pointer pointer, CudaDevice device) {
    require();
    Args.present("CudaPresets.memory", "pointer", pointer);
    Args.present("CudaPresets.memory", "device", device);
    return PresetViews.memory(pointer, device);
  }

  /**
   * The presets' view of a stream.
   *
   * @param stream the original; null for the default stream
   * @return what {@code cublasSetStream_v2} and the like take
   * @throws SylvesterException (UNSUPPORTED) without the presets
   * @throws IllegalStateException if the stream is closed
   */
  public static CUstream_st stream(CudaStream stream) {
    require();
    return PresetViews.stream(stream);
  }

  /**
   * A stream that the presets made.
   *
   * @param stream the original; a null pointer is the default stream
   * @param device where it runs
   * @return the stream; closing it does nothing
   * @throws SylvesterException (UNSUPPORTED) without the presets
   */
  public static CudaStream stream(CUstream_st stream, CudaDevice device) {
    require();
    Args.present("CudaPresets.stream", "stream", stream);
    Args.present("CudaPresets.stream", "device", device);
    return PresetViews.stream(stream, device);
  }

  private static boolean exists(String type) {
    try {
      Class.forName(type, false, CudaPresets.class.getClassLoader());
      return true;
    } catch (ClassNotFoundException | LinkageError e) {
      return false;
    }
  }

  private static void require() {
    if (MISSING != null) {
      throw new SylvesterException(
          Status.UNSUPPORTED,
          "CudaPresets: there is no class "
              + MISSING
              + "; add org.bytedeco:cuda-platform to the class path");
    }
  }
}
