package dev.sylvester.kernels;

import dev.sylvester.kernels.HadamardLayout.Side;
import dev.sylvester.kernels.ffi.SylvesterFfi;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * How the transforms of one call, whose segments have been checked, get to the native function: at
 * once, or from the heap in pieces or through copies. An object of this class is a call with
 * segments on the heap; the common calls allocate none.
 *
 * @param from x, or y of a transposed call
 * @param to y or codes, or x of a transposed call
 * @param scales or NULL
 * @param zeros or NULL
 */
record HadamardCall(
    Hadamard plan,
    boolean transposed,
    MemorySegment from,
    MemorySegment to,
    MemorySegment scales,
    MemorySegment zeros) {

  static void run(
      Hadamard plan,
      boolean transposed,
      MemorySegment from,
      MemorySegment to,
      MemorySegment scales,
      MemorySegment zeros,
      long first,
      long count,
      Workspace workspace,
      ThreadPool pool) {
    boolean heap = !(from.isNative() && to.isNative() && scales.isNative() && zeros.isNative());
    ThreadPool threads = heap ? null : pool;
    long bytes = plan.workspaceBytes(threads);
    if (bytes == 0) {
      run(plan, transposed, from, to, scales, zeros, first, count, Hadamard.NONE, threads, heap);
    } else if (workspace == null) {
      try (Arena arena = Arena.ofConfined()) {
        MemorySegment scratch = Args.allocate("Hadamard", bytes, arena);
        run(plan, transposed, from, to, scales, zeros, first, count, scratch, threads, heap);
      }
    } else {
      workspace.begin();
      try {
        MemorySegment scratch = workspace.sized(bytes);
        run(plan, transposed, from, to, scales, zeros, first, count, scratch, threads, heap);
      } finally {
        workspace.end();
      }
    }
  }

  private static void run(
      Hadamard plan,
      boolean transposed,
      MemorySegment from,
      MemorySegment to,
      MemorySegment scales,
      MemorySegment zeros,
      long first,
      long count,
      MemorySegment scratch,
      ThreadPool pool,
      boolean heap) {
    if (pool == null && count * plan.nanoseconds() <= HadamardCritical.LIMIT) {
      critical(plan, transposed, from, to, scales, zeros, first, count, scratch);
    } else if (!heap) {
      ordinary(plan, transposed, from, to, scales, zeros, first, count, scratch, pool);
    } else {
      new HadamardCall(plan, transposed, from, to, scales, zeros).run(first, count, scratch);
    }
  }

  private static void critical(
      Hadamard plan,
      boolean transposed,
      MemorySegment from,
      MemorySegment to,
      MemorySegment scales,
      MemorySegment zeros,
      long first,
      long count,
      MemorySegment scratch) {
    SylvesterException.check(
        transposed
            ? HadamardCritical.runTransposed(plan.handle(), from, to, first, count, scratch)
            : HadamardCritical.run(plan.handle(), from, to, scales, zeros, first, count, scratch));
  }

  private static void ordinary(
      Hadamard plan,
      boolean transposed,
      MemorySegment from,
      MemorySegment to,
      MemorySegment scales,
      MemorySegment zeros,
      long first,
      long count,
      MemorySegment scratch,
      ThreadPool pool) {
    MemorySegment threads = ThreadPool.handle(pool);
    long bytes = scratch.byteSize();
    SylvesterException.check(
        transposed
            ? SylvesterFfi.syl_hadamard_run_transposed(
                plan.handle(), from, to, first, count, threads, scratch, bytes)
            : SylvesterFfi.syl_hadamard_run(
                plan.handle(), from, to, scales, zeros, first, count, threads, scratch, bytes));
  }

  private void run(long first, long count, MemorySegment scratch) {
    refuseOverlaps(first, count);
    if (plan.nanoseconds() <= HadamardCritical.LIMIT) {
      inPieces(first, count, scratch);
    } else {
      throughCopies(first, count, scratch);
    }
  }

  private void inPieces(long first, long count, MemorySegment scratch) {
    long step = (long) (HadamardCritical.LIMIT / plan.nanoseconds());
    for (long done = 0; done < count; done += step) {
      long some = Math.min(step, count - done);
      critical(plan, transposed, from, to, scales, zeros, first + done, some, scratch);
    }
  }

  private void throughCopies(long first, long count, MemorySegment scratch) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment source = Args.allocate("Hadamard", source().transformBytes(), arena);
      MemorySegment target = Args.allocate("Hadamard", target().transformBytes(), arena);
      long scaleBytes = plan.layout().scaleBytes(0, 1);
      MemorySegment scale = copyOf(scales, scaleBytes, arena);
      MemorySegment zero = copyOf(zeros, scaleBytes, arena);
      for (long t = first; t < first + count; t++) {
        long sourceStart = plan.layout().offset(source(), t);
        long targetStart = plan.layout().offset(target(), t);
        source().copy(from, sourceStart, source, 0);
        ordinary(
            plan,
            transposed,
            shifted(source, sourceStart),
            shifted(target, targetStart),
            shifted(scale, t * scaleBytes),
            shifted(zero, t * scaleBytes),
            t,
            1,
            scratch,
            null);
        target().copy(target, 0, to, targetStart);
        MemorySegment.copy(scale, 0, scales, t * scale.byteSize(), scale.byteSize());
        MemorySegment.copy(zero, 0, zeros, t * zero.byteSize(), zero.byteSize());
      }
    }
  }

  private Side source() {
    return transposed ? plan.layout().y() : plan.layout().x();
  }

  private Side target() {
    return transposed ? plan.layout().x() : plan.layout().y();
  }

  private static boolean isNull(MemorySegment segment) {
    return segment.equals(MemorySegment.NULL);
  }

  private static MemorySegment copyOf(MemorySegment original, long bytes, Arena arena) {
    return isNull(original) ? original : Args.allocate("Hadamard", bytes, arena);
  }

  /**
   * Where transform 0 would be if the copy were not of one alone: the native function counts on.
   */
  private static MemorySegment shifted(MemorySegment copy, long offset) {
    return isNull(copy) ? copy : MemorySegment.ofAddress(copy.address() - offset);
  }

  /** As the native function does, which sees only a part of the transforms at a time. */
  private void refuseOverlaps(long first, long count) {
    HadamardLayout layout = plan.layout();
    long scaleStart = layout.scaleBytes(0, 1) * first;
    long scaleBytes = layout.scaleBytes(0, 1) * count;
    MemorySegment[] touched = {
      layout.touched(source(), from, first, count),
      layout.touched(target(), to, first, count),
      isNull(scales) ? scales : scales.asSlice(scaleStart, scaleBytes),
      isNull(zeros) ? zeros : zeros.asSlice(scaleStart, scaleBytes)
    };
    String[] names = {source().name(), target().name(), "scales", "zeros"};
    boolean inPlace = from.address() == to.address() && plan.options().sameLayout();
    for (int i = 0; i < touched.length; i++) {
      for (int j = i + 1; j < touched.length; j++) {
        if (!(inPlace && j == 1) && touched[i].asOverlappingSlice(touched[j]).isPresent()) {
          throw new SylvesterException(
              Status.OVERLAP, "Hadamard: " + names[j] + " overlaps " + names[i]);
        }
      }
    }
  }
}
