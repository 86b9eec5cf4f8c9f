package dev.sylvester.bench.hadamard;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import dev.sylvester.kernels.DType;
import dev.sylvester.kernels.Hadamard;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.AuxCounters;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/** Many rows in place, from each level of the memory; a copy of the same bytes beside them. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Warmup(iterations = 2, time = 500, timeUnit = TimeUnit.MILLISECONDS)
@Measurement(iterations = 3, time = 500, timeUnit = TimeUnit.MILLISECONDS)
@Fork(1)
public class HadamardRowsBenchmark {
  @Param({"128", "1024"})
  private int n;

  /** 16 KB, 512 KB, 8 MB, 256 MB: the first, second and third cache, and memory. */
  @Param({"16384", "524288", "8388608", "268435456"})
  private int bytes;

  private Arena arena;
  private Hadamard floats;
  private Hadamard halves;
  private MemorySegment x;
  private MemorySegment target;
  private float[] array;

  /** What one second moved. */
  @State(Scope.Thread)
  @AuxCounters(AuxCounters.Type.OPERATIONS)
  public static class Work {
    private double moved;

    /** Resets the counter. */
    @Setup(Level.Iteration)
    public void reset() {
      moved = 0;
    }

    /** Bytes read and written, in 10^9 a second. */
    public double gigabytes() {
      return moved / 1e9;
    }
  }

  @Setup
  public void setUp() {
    arena = Arena.ofShared();
    floats = Hadamard.of(n).rows(bytes / 4 / n).build();
    halves = Hadamard.of(n).rows(bytes / 2 / n).type(DType.BF16).build();
    x = arena.allocate(bytes, 64);
    for (long i = 0; i < bytes / 2; i++) {
      x.setAtIndex(JAVA_SHORT, i, (short) (0x3f80 + (i & 7))); // 1 to 1.05, as float and bfloat16
    }
    target = arena.allocate(bytes, 64);
    array = x.toArray(JAVA_FLOAT);
  }

  @TearDown
  public void tearDown() {
    arena.close();
  }

  /** Ours, outside the heap. */
  @Benchmark
  public void segment(Work work) {
    floats.apply(x, x);
    work.moved += 2.0 * bytes;
  }

  /** Ours, on the heap. */
  @Benchmark
  public void array(Work work) {
    floats.apply(array, array);
    work.moved += 2.0 * bytes;
  }

  /** Ours, bfloat16 in and out. */
  @Benchmark
  public void bf16(Work work) {
    halves.apply(x, x);
    work.moved += 2.0 * bytes;
  }

  /** The rival. */
  @Benchmark
  public void javaLoop(Work work) {
    for (int start = 0; start < array.length; start += n) {
      JavaLoop.transform(array, start, n);
    }
    work.moved += 2.0 * bytes;
  }

  /** Memory's limit. */
  @Benchmark
  public void copy(Work work) {
    target.copyFrom(x);
    work.moved += 2.0 * bytes;
  }
}
