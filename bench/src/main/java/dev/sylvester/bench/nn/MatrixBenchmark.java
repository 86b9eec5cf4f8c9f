package dev.sylvester.bench.nn;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;

import dev.sylvester.kernels.DType;
import dev.sylvester.kernels.Matrix;
import dev.sylvester.kernels.Sylvester;
import dev.sylvester.kernels.ThreadPool;
import dev.sylvester.kernels.Workspace;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Random;
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

/**
 * The matrix product through the Java API, beside what a JVM does without it: a loop over float
 * weights, and a plain copy of the weights' bytes as the memory's limit.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Warmup(iterations = 2, time = 1)
@Measurement(iterations = 3, time = 1)
@Fork(1)
public class MatrixBenchmark {
  private static final int ROWS = 4096;
  private static final int COLS = 4096;
  private static final long SEED = 1;

  @Param({"F32", "F16", "Q8_0", "Q4_1", "Q4_K", "Q6_K"})
  private DType type;

  /** 1: a decode step, bound by memory. 512: a prefill, bound by arithmetic. */
  @Param({"1", "512"})
  private int m;

  private Arena arena;
  private ThreadPool pool;
  private Workspace workspace;
  private Matrix matrix;
  private MemorySegment x;
  private MemorySegment y;
  private float[] floatWeights;
  private float[] floatX;
  private MemorySegment copySource;
  private MemorySegment copyTarget;

  /** What one second moved or computed. */
  @State(Scope.Thread)
  @AuxCounters(AuxCounters.Type.OPERATIONS)
  public static class Work {
    private double bytes;
    private double flops;

    /** Resets the counters. */
    @Setup(Level.Iteration)
    public void reset() {
      bytes = 0;
      flops = 0;
    }

    /** Weight bytes read, in 10^9 a second. */
    public double gigabytes() {
      return bytes / 1e9;
    }

    /** Multiplications and additions, in 10^9 a second. */
    public double gigaflops() {
      return flops / 1e9;
    }
  }

  @Setup
  public void setUp() {
    arena = Arena.ofShared();
    pool = ThreadPool.of(1);
    workspace = new Workspace();
    Random random = new Random(SEED);
    MemorySegment source = arena.allocate(type.bytes((long) ROWS * COLS));
    byte[] noise = new byte[(int) source.byteSize()];
    random.nextBytes(noise);
    MemorySegment.copy(noise, 0, source, JAVA_BYTE, 0, noise.length);
    // Random bits are valid codes; scales and floats must be finite.
    int unit = type.blockBytes() < 4 ? type.blockBytes() : 2;
    for (long i = unit - 2; i + 2 <= source.byteSize(); i += unit) {
      source.set(JAVA_SHORT_UNALIGNED, i, (short) (source.get(JAVA_SHORT_UNALIGNED, i) & 0xbbff));
    }
    matrix = Matrix.pack(type, ROWS, COLS, source, arena, pool);
    x = arena.allocate(JAVA_FLOAT, (long) m * COLS);
    for (long i = 0; i < (long) m * COLS; i++) {
      x.setAtIndex(JAVA_FLOAT, i, (float) random.nextGaussian());
    }
    y = arena.allocate(JAVA_FLOAT, (long) m * ROWS);
    floatWeights = new float[ROWS * COLS];
    for (int i = 0; i < floatWeights.length; i++) {
      floatWeights[i] = (float) random.nextGaussian();
    }
    floatX = x.asSlice(0, COLS * Float.BYTES).toArray(JAVA_FLOAT);
    copySource = arena.allocate(matrix.bytes());
    copyTarget = arena.allocate(matrix.bytes());
    System.out.println(
        "# tier " + Sylvester.tier() + ", " + pool.threads() + " thread, " + Sylvester.version());
  }

  @TearDown
  public void tearDown() {
    workspace.close();
    pool.close();
    arena.close();
  }

  /** Ours. */
  @Benchmark
  public void multiply(Work work) {
    matrix.multiply(x, COLS, m, null, false, y, ROWS, workspace, pool);
    work.bytes += matrix.bytes();
    work.flops += 2.0 * ROWS * COLS * m;
  }

  /**
   * The loop that the JVM's compiler vectorises as far as its rules for float sums allow; one row.
   */
  @Benchmark
  public void javaLoop(Work work) {
    for (int row = 0; row < ROWS; row++) {
      float sum = 0;
      for (int i = 0; i < COLS; i++) {
        sum += floatWeights[row * COLS + i] * floatX[i];
      }
      y.setAtIndex(JAVA_FLOAT, row, sum);
    }
    work.bytes += (double) ROWS * COLS * Float.BYTES;
    work.flops += 2.0 * ROWS * COLS;
  }

  /** Memory's limit: bytes copied, reads counted once. */
  @Benchmark
  public void copy(Work work) {
    copyTarget.copyFrom(copySource);
    work.bytes += matrix.bytes();
  }
}
