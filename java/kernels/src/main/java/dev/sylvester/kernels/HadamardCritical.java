package dev.sylvester.kernels;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.sylvester.kernels.ffi.SylvesterFfi;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
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

  // Handles of their own for arrays, where every segment but the plan's is one: then the compiler
  // removes the segments. What is not used is passed as 0.
  private static final MethodHandle RUN_ARRAYS =
      MethodHandles.insertArguments(
          MethodHandles.insertArguments(
              link(SylvesterFfi.syl_hadamard_run$address(), arrays(7)), 7, 0L, 0L, 0L),
          3,
          0L,
          0L,
          0L);
  private static final MethodHandle RUN_ARRAYS_TRANSPOSED =
      MethodHandles.insertArguments(
          MethodHandles.insertArguments(
              link(SylvesterFfi.syl_hadamard_run_transposed$address(), arrays(5)), 5, 0L, 0L, 0L),
          3,
          0L);
  private static final MethodHandle F32 =
      link(SylvesterFfi.syl_hadamard_f32$address(), SylvesterFfi.syl_hadamard_f32$descriptor());

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

  /** The first transforms of a plan without quantizer and workspace. */
  static int run(MemorySegment plan, float[] x, float[] y, long count) {
    try {
      return (int)
          RUN_ARRAYS.invokeExact(plan, MemorySegment.ofArray(x), MemorySegment.ofArray(y), count);
    } catch (Throwable e) {
      throw unchecked(e);
    }
  }

  /** The same, transposed. */
  static int runTransposed(MemorySegment plan, float[] y, float[] x, long count) {
    try {
      return (int)
          RUN_ARRAYS_TRANSPOSED.invokeExact(
              plan, MemorySegment.ofArray(y), MemorySegment.ofArray(x), count);
    } catch (Throwable e) {
      throw unchecked(e);
    }
  }

  static int f32(MemorySegment x, long rows, long stride, long n, double scale) {
    try {
      return (int) F32.invokeExact(x, rows, stride, n, scale, MemorySegment.NULL);
    } catch (Throwable e) {
      throw unchecked(e);
    }
  }

  private static MethodHandle link(MemorySegment function, FunctionDescriptor descriptor) {
    return Linker.nativeLinker().downcallHandle(function, descriptor, Linker.Option.critical(true));
  }

  /** A plan, two arrays and numbers. */
  private static FunctionDescriptor arrays(int numbers) {
    MemoryLayout[] layouts = new MemoryLayout[3 + numbers];
    Arrays.fill(layouts, 0, 3, ADDRESS);
    Arrays.fill(layouts, 3, layouts.length, JAVA_LONG);
    return FunctionDescriptor.of(JAVA_INT, layouts);
  }

  private static RuntimeException unchecked(Throwable e) {
    if (e instanceof Error error) {
      throw error;
    }
    return e instanceof RuntimeException runtime ? runtime : new IllegalStateException(e);
  }
}
