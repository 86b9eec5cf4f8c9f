package dev.sylvester.kernels;

import static java.lang.foreign.ValueLayout.ADDRESS;

import dev.sylvester.kernels.ffi.SylvesterFfi;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * The segments of a {@link Verifier}'s caller, which its C structures point to. Java keeps alive
 * what is an argument of a native call, not what a structure points to; so they are arguments as
 * well, behind those that the function takes. By every platform's calling convention a function
 * does not see arguments that it does not know.
 */
final class VerifierCall {
  static final int LOGITS = 0;
  static final int HISTORY = 1;
  static final int BIAS_IDS = 2;
  static final int BIAS_VALUES = 3;
  static final int ALLOWED = 4;
  static final int END_IDS = 5;
  static final int DRAFT_ROWS = 6;
  static final int SPARSE_Q = 7;
  static final int TARGET_IDS = 8;
  static final int UNIFORMS = 9;

  private static final String[] NAMES = {
    "logits",
    "history ids",
    "bias ids",
    "bias values",
    "allowed masks",
    "end token ids",
    "draft rows",
    "draft probabilities",
    "target ids",
    "uniforms"
  };

  private static final MethodHandle VERIFY = handle();

  private final MemorySegment[] segments = new MemorySegment[NAMES.length];

  /** Forgets all segments. */
  void clear() {
    Arrays.fill(segments, null);
  }

  /** Gives a segment. */
  void set(int slot, MemorySegment segment) {
    segments[slot] = segment;
  }

  boolean has(int slot) {
    return segments[slot] != null;
  }

  MemorySegment required(String function, int slot, long bytes) {
    Args.input(function, NAMES[slot], segments[slot], bytes);
    return segments[slot];
  }

  MemorySegment optional(String function, int slot, long bytes) {
    return Args.optional(function, NAMES[slot], segments[slot], bytes);
  }

  MemorySegment counted(String function, int slot, long count, long elementBytes) {
    return Args.counted(function, NAMES[slot], segments[slot], count, elementBytes);
  }

  /** Verifies a batch whose structures point to nothing but the segments and its own arena. */
  void verify(MemorySegment batch, MemorySegment result, Workspace workspace, MemorySegment pool) {
    SylvesterException.check(
        SylvesterFfi.syl_spec_verify_workspace(batch, pool, workspace.results));
    MemorySegment scratch = workspace.sized();
    try {
      SylvesterException.check(
          (int)
              VERIFY.invokeExact(
                  batch,
                  result,
                  scratch,
                  scratch.byteSize(),
                  pool,
                  argument(LOGITS),
                  argument(HISTORY),
                  argument(BIAS_IDS),
                  argument(BIAS_VALUES),
                  argument(ALLOWED),
                  argument(END_IDS),
                  argument(DRAFT_ROWS),
                  argument(SPARSE_Q),
                  argument(TARGET_IDS),
                  argument(UNIFORMS)));
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }

  private MemorySegment argument(int slot) {
    return segments[slot] == null ? MemorySegment.NULL : segments[slot];
  }

  @SuppressWarnings("restricted")
  private static MethodHandle handle() {
    FunctionDescriptor function = SylvesterFfi.syl_spec_verify_f32$descriptor();
    List<MemoryLayout> arguments = new ArrayList<>(function.argumentLayouts());
    for (int i = 0; i < NAMES.length; i++) {
      arguments.add(ADDRESS);
    }
    return Linker.nativeLinker()
        .downcallHandle(
            SylvesterFfi.syl_spec_verify_f32$address(),
            FunctionDescriptor.of(
                function.returnLayout().orElseThrow(), arguments.toArray(MemoryLayout[]::new)));
  }
}
