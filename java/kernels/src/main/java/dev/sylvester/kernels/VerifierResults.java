package dev.sylvester.kernels;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import dev.sylvester.kernels.ffi.syl_spec_result;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** Results of a {@link VerifierBatch}: one array of 4-byte numbers behind the other. */
final class VerifierResults {
  private final long next;
  private final long path;
  private final long flags;
  private final long acceptance;
  private final MemorySegment memory;
  private final MemorySegment struct;
  private MemorySegment acceptanceTo;

  VerifierResults(int maxSequences, int maxRows, Arena arena) {
    next = maxSequences;
    path = next + maxSequences;
    flags = path + maxRows;
    acceptance = flags + maxRows;
    memory = arena.allocate(JAVA_INT, acceptance + maxRows);
    struct = arena.allocate(syl_spec_result.layout());
    syl_spec_result.struct_size(struct, (int) syl_spec_result.sizeof());
    writeTo(memory);
  }

  /** The arrays are parts of other memory of the same size. */
  void writeTo(MemorySegment to) {
    syl_spec_result.accepted(struct, to);
    syl_spec_result.next_token(struct, at(to, next));
    syl_spec_result.path(struct, at(to, path));
    syl_spec_result.flags(struct, at(to, flags));
    acceptanceTo = at(to, acceptance);
  }

  private static MemorySegment at(MemorySegment memory, long index) {
    return memory.asSlice(index * Integer.BYTES);
  }

  /** The C structure. */
  MemorySegment describe(boolean labels) {
    syl_spec_result.acceptance(struct, labels ? acceptanceTo : MemorySegment.NULL);
    return struct;
  }

  MemorySegment memory() {
    return memory;
  }

  int accepted(int sequence) {
    return memory.getAtIndex(JAVA_INT, sequence);
  }

  int next(int sequence) {
    return memory.getAtIndex(JAVA_INT, next + sequence);
  }

  int path(int row) {
    return memory.getAtIndex(JAVA_INT, path + row);
  }

  int flags(int row) {
    return memory.getAtIndex(JAVA_INT, flags + row);
  }

  float acceptance(int row) {
    return memory.getAtIndex(JAVA_FLOAT, acceptance + row);
  }
}
