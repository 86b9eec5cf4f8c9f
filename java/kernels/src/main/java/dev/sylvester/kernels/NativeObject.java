package dev.sylvester.kernels;

import java.lang.foreign.MemorySegment;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Consumer;

/** A native object that one call at a time may use; a concurrent second one is refused. */
final class NativeObject {
  private final String name;
  private final AtomicBoolean busy = new AtomicBoolean();
  private MemorySegment handle; // null once freed

  NativeObject(String name, MemorySegment handle) {
    this.name = name;
    this.handle = handle;
  }

  /** Takes the object for one call; {@link #end()} gives it back. */
  MemorySegment begin() {
    take();
    if (handle == null) {
      end();
      throw new IllegalStateException(name + " is closed");
    }
    return handle;
  }

  void end() {
    busy.set(false);
  }

  /** Frees the object between calls. A second call does nothing. */
  void close(Consumer<MemorySegment> free) {
    take();
    try {
      closeTaken(free);
    } finally {
      end();
    }
  }

  /** Frees the object that {@link #begin()} took. */
  void closeTaken(Consumer<MemorySegment> free) {
    if (handle != null) {
      free.accept(handle);
      handle = null;
    }
  }

  private void take() {
    if (!busy.compareAndSet(false, true)) {
      throw new IllegalStateException(name + " is in use by another call");
    }
  }
}
