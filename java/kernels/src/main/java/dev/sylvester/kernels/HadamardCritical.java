package dev.sylvester.kernels;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.sylvester.kernels.ffi.SylvesterFfi;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.util.Arrays;

/**
 * The transforms linked as critical calls: they take segments on the heap, and cost a few
 * nanoseconds less, but hold off the garbage collector until they return. For short calls, on the
 * calling thread alone.
 */
@SuppressWarnings("restricted")
final class HadamardCritical {
  private static final MethodHandle RUN =
      link(SylvesterFfi.syl_hadamard_run$address(), SylvesterFfi.syl_hadamard_run$descriptor());
  private static final MethodHandle RUN_TRANSPOSED =
      link(
          SylvesterFfi.syl_hadamard_run_transposed$address(),
          SylvesterFfi.syl_hadamard_run_transposed$descriptor());

  // Handles of their own for arrays. All else, the plan and what is NULL, is a number to them: then
  // the compiler removes the segments.
  private static final MethodHandle RUN_ARRAYS =
      link(SylvesterFfi.syl_hadamard_run$address(), planAndArrays(7));
  private static final MethodHandle RUN_ARRAYS_TRANSPOSED =
      link(SylvesterFfi.syl_hadamard_run_transposed$address(), planAndArrays(5));
  private static final MethodHandle F32 =
      link(
          SylvesterFfi.syl_hadamard_f32$address(),
          FunctionDescriptor.of(
              JAVA_INT, ADDRESS, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_DOUBLE, JAVA_LONG));

  private HadamardCritical() {}

  /** Longest call, in nanoseconds by {@link #nanoseconds}, that may hold off the collector. */
  static final double LIMIT = 20_000;

  /** A call's time, on the safe side: 256-bit vectors, data from memory. */
  static double nanoseconds(double additions, double bytes) {
    return additions / 32 + bytes / 16;
  }

  static int run(
      MemorySegment plan,
      MemorySegment x,
      MemorySegment y,
      MemorySegment scales,
      MemorySegment zeros,
      long first,
      long count,
      MemorySegment workspace) {
    try {
      return (int)
          RUN.invokeExact(
              plan,
              x,
              y,
              scales,
              zeros,
              first,
              count,
              MemorySegment.NULL,
              workspace,
              workspace.byteSize());
    } catch (Throwable e) {
      throw unchecked(e);
    }
  }

  static int runTransposed(
      MemorySegment plan,
      MemorySegment y,
      MemorySegment x,
      long first,
      long count,
      MemorySegment workspace) {
    try {
      return (int)
          RUN_TRANSPOSED.invokeExact(
              plan, y, x, first, count, MemorySegment.NULL, workspace, workspace.byteSize());
    } catch (Throwable e) {
      throw unchecked(e);
    }
  }

  /**
   * The first transforms of a plan without quantizer and workspace.
   *
   * @param plan address of one that is reachable until the call is over
   */
  static int run(long plan, float[] x, float[] y, long count) {
    MemorySegment from = MemorySegment.ofArray(x);
    MemorySegment to = MemorySegment.ofArray(y);
    try {
      return (int) RUN_ARRAYS.invokeExact(plan, from, to, 0L, 0L, 0L, count, 0L, 0L, 0L);
    } catch (Throwable e) {
      throw unchecked(e);
    }
  }

  /** The same, transposed. */
  static int runTransposed(long plan, float[] y, float[] x, long count) {
    MemorySegment from = MemorySegment.ofArray(y);
    MemorySegment to = MemorySegment.ofArray(x);
    try {
      return (int) RUN_ARRAYS_TRANSPOSED.invokeExact(plan, from, to, 0L, count, 0L, 0L, 0L);
    } catch (Throwable e) {
      throw unchecked(e);
    }
  }

  /** Orthonormal transforms of rows in place. */
  static int f32(MemorySegment x, long rows, long n) {
    try {
      return (int) F32.invokeExact(x, rows, n, n, 0.0, 0L);
    } catch (Throwable e) {
      throw unchecked(e);
    }
  }

  /** The same. */
  static int f32(float[] x, long rows, long n) {
    try {
      return (int) F32.invokeExact(MemorySegment.ofArray(x), rows, n, n, 0.0, 0L);
    } catch (Throwable e) {
      throw unchecked(e);
    }
  }

  private static FunctionDescriptor planAndArrays(int numbers) {
    MemoryLayout[] layouts = new MemoryLayout[3 + numbers];
    Arrays.fill(layouts, JAVA_LONG);
    layouts[1] = ADDRESS;
    layouts[2] = ADDRESS;
    return FunctionDescriptor.of(JAVA_INT, layouts);
  }

  private static MethodHandle link(MemorySegment function, FunctionDescriptor descriptor) {
    return Linker.nativeLinker().downcallHandle(function, descriptor, Linker.Option.critical(true));
  }

  private static RuntimeException unchecked(Throwable e) {
    if (e instanceof Error error) {
      throw error;
    }
    return e instanceof RuntimeException runtime ? runtime : new IllegalStateException(e);
  }
}
