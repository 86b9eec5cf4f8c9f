package dev.sylvester.kernels;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Scratch memory of native calls: a 64-byte aligned buffer outside the Java heap that grows to the
 * largest need and is then reused. One call at a time may use it; a concurrent second one is
 * refused.
 */
public final class Workspace implements AutoCloseable {
  private final AtomicBoolean busy = new AtomicBoolean();
  private final Arena resultArena = Arena.ofShared();

  /** Where a native function stores a scalar result; valid between begin and end. */
  final MemorySegment results = resultArena.allocate(JAVA_LONG);

  /** And a second one. */
  final MemorySegment moreResults = resultArena.allocate(JAVA_LONG);

  private Arena arena = Arena.ofShared();
  private MemorySegment buffer = Args.allocate("Workspace", 0, arena);

  /** An empty workspace. */
  public Workspace() {}

  /**
   * Bytes held now.
   *
   * @return the number of bytes
   */
  public long bytes() {
    return buffer.byteSize();
  }

  /** Takes the workspace for one call; {@link #end()} gives it back. */
  void begin() {
    if (!busy.compareAndSet(false, true)) {
      throw new IllegalStateException("Workspace is in use by another call");
    }
    if (!resultArena.scope().isAlive()) {
      busy.set(false);
      throw new IllegalStateException("Workspace is closed");
    }
  }

  void end() {
    busy.set(false);
  }

  /** The buffer, of at least as many bytes as the size query just stored in {@link #results}. */
  MemorySegment sized() {
    return sized(results.get(JAVA_LONG, 0));
  }

  /** The buffer, of at least so many bytes. */
  MemorySegment sized(long bytes) {
    if (buffer.byteSize() < bytes) {
      grow(bytes);
    }
    return buffer;
  }

  private void grow(long bytes) {
    Arena larger = Arena.ofShared();
    try {
      // At least half more, so that slowly growing needs do not reallocate every time.
      buffer = Args.allocate("Workspace", Math.max(bytes, buffer.byteSize() / 2 * 3), larger);
    } catch (RuntimeException | Error e) {
      larger.close();
      throw e;
    }
    arena.close();
    arena = larger;
  }

  /**
   * Frees the memory. A second call does nothing.
   *
   * @throws IllegalStateException if a call on another thread is using it
   */
  @Override
  public void close() {
    if (!busy.compareAndSet(false, true)) {
      throw new IllegalStateException("Workspace is in use by another call");
    }
    try {
      if (resultArena.scope().isAlive()) {
        resultArena.close();
        arena.close();
      }
    } finally {
      busy.set(false);
    }
  }
}
