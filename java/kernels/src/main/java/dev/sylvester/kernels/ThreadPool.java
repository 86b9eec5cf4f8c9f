package dev.sylvester.kernels;

import static java.lang.foreign.ValueLayout.ADDRESS;

import dev.sylvester.kernels.ffi.SylvesterFfi;
import dev.sylvester.kernels.internal.Processors;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Threads for native calls: {@code threads - 1} workers plus the calling thread. Workers spin
 * briefly after work and then sleep. One call at a time uses a pool; a second concurrent call
 * waits. Thread-safe.
 */
public final class ThreadPool implements AutoCloseable {
  /** Most threads of a pool. */
  public static final int MAX_THREADS = 256;

  // Owns the native pool: a call that uses the handle keeps the arena from being closed under it.
  private final Arena arena = Arena.ofShared();
  private final MemorySegment handle;
  private final int threads;

  private ThreadPool(int threads) {
    this.threads = threads;
    try (Arena scratch = Arena.ofConfined()) {
      MemorySegment out = scratch.allocate(ADDRESS);
      SylvesterException.check(SylvesterFfi.syl_pool_new(threads, out));
      handle = own(out.get(ADDRESS, 0));
    } catch (RuntimeException | Error e) {
      arena.close();
      throw e;
    }
  }

  @SuppressWarnings("restricted")
  private MemorySegment own(MemorySegment pool) {
    return pool.reinterpret(arena, SylvesterFfi::syl_pool_free);
  }

  /**
   * A pool of the given size.
   *
   * @param threads 1..{@value #MAX_THREADS}, the calling thread included
   * @return the pool
   * @throws SylvesterException if the number is out of range or the system refuses a thread
   */
  public static ThreadPool of(int threads) {
    Args.range("ThreadPool.of", "threads", threads, 1, MAX_THREADS);
    return new ThreadPool(threads);
  }

  /**
   * A pool of {@link #defaultThreads()}.
   *
   * @return the pool
   */
  public static ThreadPool ofDefault() {
    return of(defaultThreads());
  }

  /**
   * The environment variable {@code SYLVESTER_THREADS}, or else the number of physical cores, at
   * most as many as the container's quota and the process's affinity allow.
   *
   * @return the number of threads, 1..{@value #MAX_THREADS}
   * @throws SylvesterException if SYLVESTER_THREADS is no number in that range
   */
  public static int defaultThreads() {
    String setting = System.getenv("SYLVESTER_THREADS");
    if (setting == null || setting.isBlank()) {
      return Math.min(Processors.usableCores(), MAX_THREADS);
    }
    try {
      int threads = Integer.parseInt(setting.strip());
      Args.range("ThreadPool.defaultThreads", "SYLVESTER_THREADS", threads, 1, MAX_THREADS);
      return threads;
    } catch (NumberFormatException e) {
      throw new SylvesterException(
          Status.BAD_VALUE,
          "ThreadPool.defaultThreads: SYLVESTER_THREADS is \""
              + setting
              + "\", must be 1.."
              + MAX_THREADS);
    }
  }

  /**
   * Number of threads, the calling thread included.
   *
   * @return the number
   */
  public int threads() {
    return threads;
  }

  /**
   * Stops the workers. A second call does nothing.
   *
   * @throws IllegalStateException if a call on another thread is using the pool
   */
  @Override
  public void close() {
    if (arena.scope().isAlive()) {
      arena.close();
    }
  }

  /** The native handle; NULL for no pool. */
  static MemorySegment handle(ThreadPool pool) {
    return pool == null ? MemorySegment.NULL : pool.open();
  }

  private MemorySegment open() {
    if (!arena.scope().isAlive()) {
      throw new IllegalStateException("ThreadPool is closed");
    }
    return handle;
  }
}
