package dev.sylvester.runner;

import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;

/**
 * A resource that is made on a thread of its own. Until it is handed out, closing this closes it.
 */
final class Background<T extends AutoCloseable> implements AutoCloseable {
  private final FutureTask<T> task;

  private Background(FutureTask<T> task) {
    this.task = task;
  }

  static <T extends AutoCloseable> Background<T> start(Callable<T> maker) {
    FutureTask<T> task = new FutureTask<>(maker);
    Thread.ofPlatform().daemon().name("sylvester-loader").start(task);
    return new Background<>(task);
  }

  /** Waits for it; throws what its making threw. */
  T get() {
    boolean interrupted = false;
    try {
      while (true) {
        try {
          return task.get();
        } catch (InterruptedException e) {
          // It ends soon, and what it made must not be lost.
          interrupted = true;
        } catch (ExecutionException e) {
          switch (e.getCause()) {
            case RuntimeException cause -> throw cause;
            case Error cause -> throw cause;
            default -> throw new IllegalStateException(e.getCause());
          }
        }
      }
    } finally {
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  @Override
  public void close() {
    T made;
    try {
      made = get();
    } catch (RuntimeException | Error e) {
      return; // nothing was made
    }
    try {
      made.close();
    } catch (RuntimeException e) {
      throw e;
    } catch (Exception e) {
      throw new IllegalStateException(e);
    }
  }
}
