package dev.sylvester.runner;

import dev.sylvester.kernels.DType;
import dev.sylvester.kernels.ThreadPool;

/**
 * How a model is opened.
 *
 * @param threads threads of the model's pool, the calling thread included; results do not depend on
 *     it
 * @param context tokens a session holds, prompt and answer together; 0 means the model's own limit,
 *     at most {@value #DEFAULT_CONTEXT}
 * @param cacheType element type of the key and value cache, {@link DType#F16} or {@link DType#F32}
 */
public record ModelOptions(int threads, int context, DType cacheType) {
  /** Longest context without asking for more: caches of long-context models are large. */
  public static final int DEFAULT_CONTEXT = 4096;

  /** Checks the values. */
  public ModelOptions {
    if (threads < 1 || threads > ThreadPool.MAX_THREADS) {
      throw new IllegalArgumentException(
          "threads is %d, must be 1..%d".formatted(threads, ThreadPool.MAX_THREADS));
    }
    if (context < 0) {
      throw new IllegalArgumentException("context is %d, must not be negative".formatted(context));
    }
    if (cacheType != DType.F16 && cacheType != DType.F32) {
      throw new IllegalArgumentException(
          "cache type is %s, must be F16 or F32".formatted(cacheType));
    }
  }

  /** The machine's physical cores, the default context, an F16 cache. */
  public static ModelOptions defaults() {
    return new ModelOptions(ThreadPool.defaultThreads(), 0, DType.F16);
  }

  /** The same with another number of threads. */
  public ModelOptions withThreads(int threads) {
    return new ModelOptions(threads, context, cacheType);
  }

  /** The same with another context. */
  public ModelOptions withContext(int context) {
    return new ModelOptions(threads, context, cacheType);
  }

  /** The same with another cache type. */
  public ModelOptions withCacheType(DType cacheType) {
    return new ModelOptions(threads, context, cacheType);
  }
}
