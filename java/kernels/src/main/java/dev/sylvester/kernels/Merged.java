package dev.sylvester.kernels;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Weights with a delta added to them as long as this is open: {@link KronFactors#mergeInto}.
 * Closing puts every byte back, which taking the delta away again would not do. Deltas on the same
 * weights have to be closed in the reverse order. Holds a copy of the weights. One thread at a
 * time.
 */
public final class Merged implements AutoCloseable {
  private final MemorySegment w;
  private final MemorySegment base;
  private final Arena arena = Arena.ofShared();

  Merged(MemorySegment w) {
    this.w = w;
    this.base = Args.allocate("KronFactors.mergeInto", w.byteSize(), arena).copyFrom(w);
  }

  /** Restores the weights. A second call does nothing. */
  @Override
  public void close() {
    if (arena.scope().isAlive()) {
      w.copyFrom(base);
      arena.close();
    }
  }
}
