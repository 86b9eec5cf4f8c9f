package dev.sylvester.kernels;

import static java.lang.foreign.ValueLayout.ADDRESS;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * The segments of a {@link VerifierBatch}'s caller, which its C structures point to. Java keeps
 * alive what is an argument of a native call, not what a structure points to; so they are arguments
 * as well, behind those that the function takes. By every platform's calling convention a function
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

  private final MemorySegment[] segments = new MemorySegment[NAMES.length];
  private final MemorySegment[] arguments = new MemorySegment[NAMES.length];

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

  /** The segments, NULL for those that were not given. */
  MemorySegment[] memory() {
    for (int i = 0; i < segments.length; i++) {
      arguments[i] = segments[i] == null ? MemorySegment.NULL : segments[i];
    }
    return arguments;
  }

  /** A handle of a function that takes {@link #memory} as its last argument. */
  @SuppressWarnings("restricted")
  static MethodHandle function(MemorySegment address, FunctionDescriptor descriptor) {
    List<MemoryLayout> arguments = new ArrayList<>(descriptor.argumentLayouts());
    for (int i = 0; i < NAMES.length; i++) {
      arguments.add(ADDRESS);
    }
    return Linker.nativeLinker()
        .downcallHandle(
            address,
            FunctionDescriptor.of(
                descriptor.returnLayout().orElseThrow(), arguments.toArray(MemoryLayout[]::new)))
        .asSpreader(MemorySegment[].class, NAMES.length);
  }
}
