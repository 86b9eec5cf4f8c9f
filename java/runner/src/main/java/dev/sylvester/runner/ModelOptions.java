package dev.sylvester.runner;

import dev.sylvester.kernels.ThreadPool;
import java.util.List;
import java.util.Objects;

/**
 * How a model is opened.
 *
 * @param threads threads of the model's pool, the calling thread included; results do not depend on
 *     it
 * @param context tokens a session holds, prompt and answer together; 0 means the model's own limit,
 *     at most {@value #DEFAULT_CONTEXT}
 * @param cache how keys and values are kept
 * @param sessions sessions that packed caches have room for when all are full
 * @param adapters added up beside the model's weights
 */
public record ModelOptions(
    int threads, int context, CacheOptions cache, int sessions, List<Adapter> adapters) {
  /** Longest context without asking for more: caches of long-context models are large. */
  public static final int DEFAULT_CONTEXT = 4096;

  /** Sessions without asking for more. Memory is taken up as tokens come. */
  public static final int DEFAULT_SESSIONS = 8;

  /** Checks the values. */
  public ModelOptions {
    if (threads < 1 || threads > ThreadPool.MAX_THREADS) {
      throw new IllegalArgumentException(
          "threads is %d, must be 1..%d".formatted(threads, ThreadPool.MAX_THREADS));
    }
    if (context < 0) {
      throw new IllegalArgumentException("context is %d, must not be negative".formatted(context));
    }
    Objects.requireNonNull(cache, "cache");
    if (sessions < 1) {
      throw new IllegalArgumentException("sessions is %d, must be at least 1".formatted(sessions));
    }
    adapters = List.copyOf(adapters);
  }

  /** The machine's physical cores, the default context, an F16 cache, no adapter. */
  public static ModelOptions defaults() {
    return new ModelOptions(
        ThreadPool.defaultThreads(), 0, CacheOptions.F16, DEFAULT_SESSIONS, List.of());
  }

  /** The same with another number of threads. */
  public ModelOptions withThreads(int threads) {
    return new ModelOptions(threads, context, cache, sessions, adapters);
  }

  /** The same with another context. */
  public ModelOptions withContext(int context) {
    return new ModelOptions(threads, context, cache, sessions, adapters);
  }

  /** The same with another cache. */
  public ModelOptions withCache(CacheOptions cache) {
    return new ModelOptions(threads, context, cache, sessions, adapters);
  }

  /** The same with room for other sessions. */
  public ModelOptions withSessions(int sessions) {
    return new ModelOptions(threads, context, cache, sessions, adapters);
  }

  /** The same with other adapters. */
  public ModelOptions withAdapters(List<Adapter> adapters) {
    return new ModelOptions(threads, context, cache, sessions, adapters);
  }
}
