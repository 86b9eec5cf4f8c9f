package dev.sylvester.bench.call;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import dev.sylvester.jni.syl_pool;
import dev.sylvester.jni.sylvester;
import dev.sylvester.kernels.ffi.SylvesterFfi;
import java.lang.foreign.Arena;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.bytedeco.javacpp.FloatPointer;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * What one native call costs by the foreign function interface, by its critical calls and by JNI: a
 * function that does nothing, and a Hadamard transform of one row of 128 floats in place, which
 * also has to bring the row across.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(value = 2, jvmArgsAppend = "--enable-native-access=ALL-UNNAMED")
public class CallBenchmark {
  private static final int N = 128;
  private static final long SEED = 1;
  private static final MemorySegment NO_POOL = MemorySegment.NULL;
  private static final MethodHandle CRITICAL_VERSION =
      Linker.nativeLinker()
          .downcallHandle(
              SylvesterFfi.syl_abi_version$address(),
              SylvesterFfi.syl_abi_version$descriptor(),
              Linker.Option.critical(true));
  private static final MethodHandle CRITICAL_HADAMARD =
      Linker.nativeLinker()
          .downcallHandle(
              SylvesterFfi.syl_hadamard_f32$address(),
              SylvesterFfi.syl_hadamard_f32$descriptor(),
              Linker.Option.critical(true));

  private Arena arena;
  private float[] array;
  private MemorySegment segment;
  private FloatPointer pointer;
  private FloatBuffer buffer;

  @Setup
  public void setUp() {
    Random random = new Random(SEED);
    array = new float[N];
    for (int i = 0; i < N; i++) {
      array[i] = (float) random.nextGaussian();
    }
    arena = Arena.ofShared();
    segment = arena.allocateFrom(JAVA_FLOAT, array);
    pointer = new FloatPointer(array);
    buffer =
        ByteBuffer.allocateDirect(N * Float.BYTES).order(ByteOrder.nativeOrder()).asFloatBuffer();
    buffer.put(array).rewind();
  }

  @TearDown
  public void tearDown() {
    pointer.close();
    arena.close();
  }

  @Benchmark
  public int nothingFfm() {
    return SylvesterFfi.syl_abi_version();
  }

  @Benchmark
  public int nothingFfmCritical() throws Throwable {
    return (int) CRITICAL_VERSION.invokeExact();
  }

  @Benchmark
  public int nothingJni() {
    return sylvester.syl_abi_version();
  }

  @Benchmark
  public int hadamardFfmSegment() {
    return SylvesterFfi.syl_hadamard_f32(segment, 1, N, N, 0, NO_POOL);
  }

  /** The heap array by way of native memory, as it must be without a critical call. */
  @Benchmark
  public int hadamardFfmCopiedArray() {
    MemorySegment.copy(array, 0, segment, JAVA_FLOAT, 0, N);
    int status = SylvesterFfi.syl_hadamard_f32(segment, 1, N, N, 0, NO_POOL);
    MemorySegment.copy(segment, JAVA_FLOAT, 0, array, 0, N);
    return status;
  }

  @Benchmark
  public int hadamardFfmCriticalSegment() throws Throwable {
    return (int) CRITICAL_HADAMARD.invokeExact(segment, 1L, (long) N, (long) N, 0.0, NO_POOL);
  }

  @Benchmark
  public int hadamardFfmCriticalArray() throws Throwable {
    MemorySegment heap = MemorySegment.ofArray(array);
    return (int) CRITICAL_HADAMARD.invokeExact(heap, 1L, (long) N, (long) N, 0.0, NO_POOL);
  }

  @Benchmark
  public int hadamardJniPointer() {
    return sylvester.syl_hadamard_f32(pointer, 1, N, N, 0, (syl_pool) null);
  }

  @Benchmark
  public int hadamardJniBuffer() {
    return sylvester.syl_hadamard_f32(buffer, 1, N, N, 0, (syl_pool) null);
  }

  /** JNI copies the array in and out. */
  @Benchmark
  public int hadamardJniArray() {
    return sylvester.syl_hadamard_f32(array, 1, N, N, 0, (syl_pool) null);
  }
}
