package dev.sylvester.bench.hadamard;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import dev.sylvester.kernels.Hadamard;
import dev.sylvester.kernels.Sylvester;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/** One vector in place, one call: ours on the heap and outside, and the JVM's own loop. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 3, time = 500, timeUnit = TimeUnit.MILLISECONDS)
@Measurement(iterations = 5, time = 500, timeUnit = TimeUnit.MILLISECONDS)
@Fork(1)
public class HadamardBenchmark {
  @Param({"64", "128", "256", "1024", "4096", "65536", "1048576"})
  private int n;

  private Arena arena;
  private Hadamard plan;
  private float[] x;
  private MemorySegment segment;

  @Setup
  public void setUp() {
    arena = Arena.ofShared();
    plan = Hadamard.of(n).build();
    x = new float[n];
    Random random = new Random(1);
    for (int i = 0; i < n; i++) {
      x[i] = (float) random.nextGaussian();
    }
    segment = arena.allocateFrom(JAVA_FLOAT, x);
    float[] expected = x.clone();
    JavaLoop.transform(expected, 0, n);
    float[] actual = x.clone();
    plan.apply(actual, actual);
    if (!Arrays.equals(expected, actual)) {
      throw new AssertionError("the loop gives other bits than the plan");
    }
    System.out.println("# tier " + Sylvester.tier() + ", " + Sylvester.version());
  }

  @TearDown
  public void tearDown() {
    arena.close();
  }

  /** A plan on an array. */
  @Benchmark
  public void array() {
    plan.apply(x, x);
  }

  /** A plan on memory outside the heap. */
  @Benchmark
  public void segment() {
    plan.apply(segment, segment);
  }

  /** An array without a plan. */
  @Benchmark
  public void arrayWithoutPlan() {
    Hadamard.transform(x, n);
  }

  /** The rival. */
  @Benchmark
  public void javaLoop() {
    JavaLoop.transform(x, 0, n);
  }
}
