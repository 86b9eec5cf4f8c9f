package dev.sylvester.runner.hub;

/** Told about the bytes that have arrived, or whatever else takes its time. */
@FunctionalInterface
public interface Progress {
  /** Tells nobody. */
  Progress NONE = (done, total) -> {};

  /**
   * Called now and then, from one thread at a time.
   *
   * @param done so far
   * @param total in all, or -1 when unknown
   */
  void update(long done, long total);
}
