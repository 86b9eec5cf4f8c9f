package dev.sylvester.kernels;

import dev.sylvester.kernels.HadamardLayout.Side;
import dev.sylvester.kernels.ffi.SylvesterFfi;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * How the transforms of one call, whose segments have been checked, get to the native function: at
 * once, in pieces, or through copies outside the heap.
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

  void run(long first, long count, Workspace workspace, ThreadPool pool) {
    ThreadPool threads = isNative() ? pool : null;
    long bytes = plan.workspaceBytes(threads);
    if (bytes == 0) {
      run(first, count, MemorySegment.NULL, threads);
    } else if (workspace == null) {
      try (Arena arena = Arena.ofConfined()) {
        run(first, count, Args.allocate("Hadamard", bytes, arena), threads);
      }
    } else {
      workspace.begin();
      try {
        run(first, count, workspace.sized(bytes), threads);
      } finally {
        workspace.end();
      }
    }
  }

  private boolean isNative() {
    return from.isNative() && to.isNative() && scales.isNative() && zeros.isNative();
  }

  private void run(long first, long count, MemorySegment workspace, ThreadPool pool) {
    if (pool == null && count * plan.nanoseconds() <= HadamardCritical.LIMIT) {
      critical(first, count, workspace);
    } else if (isNative()) {
      ordinary(first, count, workspace, pool);
    } else {
      refuseOverlaps(first, count);
      if (plan.nanoseconds() <= HadamardCritical.LIMIT) {
        inPieces(first, count, workspace);
      } else {
        throughCopies(first, count, workspace);
      }
    }
  }

  private void critical(long first, long count, MemorySegment workspace) {
    SylvesterException.check(
        transposed
            ? HadamardCritical.runTransposed(plan.handle(), from, to, first, count, workspace)
            : HadamardCritical.run(
                plan.handle(), from, to, scales, zeros, first, count, workspace));
  }

  private void ordinary(long first, long count, MemorySegment workspace, ThreadPool pool) {
    MemorySegment threads = ThreadPool.handle(pool);
    long bytes = workspace.byteSize();
    SylvesterException.check(
        transposed
            ? SylvesterFfi.syl_hadamard_run_transposed(
                plan.handle(), from, to, first, count, threads, workspace, bytes)
            : SylvesterFfi.syl_hadamard_run(
                plan.handle(), from, to, scales, zeros, first, count, threads, workspace, bytes));
  }

  private void inPieces(long first, long count, MemorySegment workspace) {
    long step = (long) (HadamardCritical.LIMIT / plan.nanoseconds());
    for (long done = 0; done < count; done += step) {
      critical(first + done, Math.min(step, count - done), workspace);
    }
  }

  private void throughCopies(long first, long count, MemorySegment workspace) {
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
        HadamardCall copied =
            new HadamardCall(
                plan,
                transposed,
                shifted(source, sourceStart),
                shifted(target, targetStart),
                shifted(scale, t * scaleBytes),
                shifted(zero, t * scaleBytes));
        copied.ordinary(t, 1, workspace, null);
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
