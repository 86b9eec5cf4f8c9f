package dev.sylvester.runner.layers;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;

/**
 * Zeroed memory whose pages the system provides when they are first touched. The platform's arenas
 * touch everything at once: time and memory for the part of a cache that a short text never uses.
 */
public final class LazyArena implements Arena {
  private static final MethodHandle CALLOC;
  private static final MethodHandle FREE;

  static {
    Linker linker = Linker.nativeLinker();
    CALLOC =
        function(
            linker,
            "calloc",
            FunctionDescriptor.of(
                ValueLayout.ADDRESS, ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG));
    FREE = function(linker, "free", FunctionDescriptor.ofVoid(ValueLayout.ADDRESS));
  }

  private final Arena arena = Arena.ofShared();

  @SuppressWarnings("restricted")
  private static MethodHandle function(Linker linker, String name, FunctionDescriptor descriptor) {
    return linker.downcallHandle(linker.defaultLookup().findOrThrow(name), descriptor);
  }

  /** Zeroed memory. */
  @Override
  @SuppressWarnings("restricted")
  public MemorySegment allocate(long bytes, long alignment) {
    try {
      long size = Math.addExact(Math.addExact(bytes, alignment), 1);
      MemorySegment block = (MemorySegment) CALLOC.invokeExact(1L, size);
      if (block.address() == 0) {
        throw new OutOfMemoryError(
            "%,d bytes of native memory were refused; a smaller context needs less"
                .formatted(bytes));
      }
      // The arena frees the block; the aligned part of it is what the caller sees.
      MemorySegment owned = block.reinterpret(size, arena, LazyArena::free);
      long skip = -block.address() & (alignment - 1);
      return owned.asSlice(skip, bytes);
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new AssertionError(e);
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

  @Override
  public MemorySegment.Scope scope() {
    return arena.scope();
  }

  @Override
  public void close() {
    arena.close();
  }
}
