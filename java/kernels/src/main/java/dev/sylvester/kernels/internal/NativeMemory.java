package dev.sylvester.kernels.internal;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/**
 * Zeroed memory for weights and caches. An arena's own allocation counts against the virtual
 * machine's limit of direct memory, by default a quarter of the machine's, and writes the zeros one
 * by one; the C library takes fresh pages.
 */
@SuppressWarnings("restricted")
public final class NativeMemory {
  private static final long ALIGNMENT = 64;
  private static final MethodHandle CALLOC =
      function("calloc", FunctionDescriptor.of(ADDRESS, JAVA_LONG, JAVA_LONG));
  private static final MethodHandle FREE = function("free", FunctionDescriptor.ofVoid(ADDRESS));

  private NativeMemory() {}

  /**
   * Allocates zeroed memory, 64-byte aligned.
   *
   * @param bytes not negative
   * @param arena owns the memory
   * @return the memory, or null if there is not enough
   */
  public static MemorySegment allocate(long bytes, Arena arena) {
    if (bytes > Long.MAX_VALUE - ALIGNMENT) {
      return null;
    }
    try {
      MemorySegment block = (MemorySegment) CALLOC.invokeExact(1L, bytes + ALIGNMENT);
      if (block.address() == 0) {
        return null;
      }
      long skip = -block.address() & (ALIGNMENT - 1);
      return own(block, bytes + ALIGNMENT, arena).asSlice(skip, bytes);
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }

  private static MemorySegment own(MemorySegment block, long bytes, Arena arena) {
    try {
      return block.reinterpret(bytes, arena, NativeMemory::free);
    } catch (RuntimeException | Error e) {
      free(block); // a closed arena owns nothing
      throw e;
    }
  }

  private static void free(MemorySegment block) {
    try {
      FREE.invokeExact(block);
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }

  private static MethodHandle function(String name, FunctionDescriptor descriptor) {
    Linker linker = Linker.nativeLinker();
    return linker.downcallHandle(linker.defaultLookup().findOrThrow(name), descriptor);
  }
}
