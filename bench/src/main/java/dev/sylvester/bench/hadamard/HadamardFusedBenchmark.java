package dev.sylvester.bench.hadamard;

import dev.sylvester.kernels.Hadamard;
import dev.sylvester.kernels.HadamardOptions;
import dev.sylvester.kernels.HadamardOptions.Quantizer;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/**
 * What plans do besides the transform, on 1,024 rows of 128 floats in arrays: time of a row. Signs,
 * codes and elements that lie apart come with it, where others take a pass for each.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@OperationsPerInvocation(HadamardFusedBenchmark.ROWS)
@Warmup(iterations = 3, time = 500, timeUnit = TimeUnit.MILLISECONDS)
@Measurement(iterations = 5, time = 500, timeUnit = TimeUnit.MILLISECONDS)
@Fork(1)
public class HadamardFusedBenchmark {
  static final int ROWS = 1024;
  private static final int N = 128;
  private static final int HEAD_DIM = 64;

  private final Hadamard rotation = Hadamard.of(N).rows(ROWS).signs(1).build();
  private final Hadamard codes = Hadamard.of(N).rows(ROWS).signs(1).quantizer(Quantizer.I8).build();
  private final Hadamard plain = Hadamard.of(N).rows(ROWS).build();
  private final Hadamard acrossHeads = tokens(Hadamard.acrossHeads(N, HEAD_DIM));
  private final float[] x = new float[ROWS * N];
  private final float[] y = new float[ROWS * N];
  private final byte[] bytes = new byte[ROWS * N];
  private final float[] scales = new float[ROWS];
  private final float[] signs = new float[N];

  private static Hadamard tokens(HadamardOptions options) {
    return options.rows(ROWS / HEAD_DIM).build();
  }

  @Setup
  public void setUp() {
    Random random = new Random(1);
    for (int i = 0; i < x.length; i++) {
      x[i] = (float) random.nextGaussian();
    }
    for (int i = 0; i < N; i++) {
      signs[i] = random.nextBoolean() ? 1 : -1;
    }
  }

  /** The transform alone. */
  @Benchmark
  public void transform() {
    plain.apply(x, y);
  }

  /** With signs. */
  @Benchmark
  public void rotate() {
    rotation.apply(x, y);
  }

  /** With signs, to int8. */
  @Benchmark
  public void rotateToCodes() {
    codes.quantize(x, bytes, scales, null);
  }

  /** The same in two steps. */
  @Benchmark
  public void rotateThenJavaCodes() {
    rotation.apply(x, y);
    for (int row = 0; row < ROWS; row++) {
      scales[row] = JavaLoop.quantize(y, row * N, N, bytes);
    }
  }

  /** The rival. */
  @Benchmark
  public void javaRotateThenCodes() {
    for (int row = 0; row < ROWS; row++) {
      for (int i = 0; i < N; i++) {
        y[row * N + i] = x[row * N + i] * signs[i];
      }
      JavaLoop.transform(y, row * N, N);
      scales[row] = JavaLoop.quantize(y, row * N, N, bytes);
    }
  }

  /** Across 128 heads of 64 elements. */
  @Benchmark
  public void acrossHeads() {
    acrossHeads.apply(x, y);
  }

  /** The same by a copy that brings each transform's elements together, and one back. */
  @Benchmark
  public void acrossHeadsByCopies() {
    for (int row = 0; row < ROWS; row++) {
      int token = row / HEAD_DIM * N * HEAD_DIM + row % HEAD_DIM;
      for (int head = 0; head < N; head++) {
        y[row * N + head] = x[token + head * HEAD_DIM];
      }
    }
    plain.apply(y, y);
    for (int row = 0; row < ROWS; row++) {
      int token = row / HEAD_DIM * N * HEAD_DIM + row % HEAD_DIM;
      for (int head = 0; head < N; head++) {
        x[token + head * HEAD_DIM] = y[row * N + head];
      }
    }
  }
}
