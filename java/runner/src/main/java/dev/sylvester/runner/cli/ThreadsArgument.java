package dev.sylvester.runner.cli;

import dev.sylvester.kernels.ThreadPool;
import picocli.CommandLine.Option;

/** How many threads compute. */
final class ThreadsArgument {
  /** Null: not given. */
  @Option(
      names = "--threads",
      paramLabel = "N",
      description = "Threads. Default: SYLVESTER_THREADS, else the physical cores.")
  Integer count;

  ThreadPool pool() {
    return ThreadPool.of(count == null ? ThreadPool.defaultThreads() : count);
  }
}
