package dev.sylvester.runner.diffusion;

/**
 * Keys and values of known tokens are kept, those of unknown ones never: dKV-Cache-Decode, arXiv
 * 2505.15781. They are taken one step late, from the first pass that reads the token instead of the
 * one that proposed it. Every so many passes of a window everything is computed.
 *
 * <p>With a shifted model a position is kept when the next token, which it predicts, is known too
 * (the released code's {@code un_right}).
 *
 * @param interval passes from one that computes everything to the next; 1: no cache at all. The
 *     released examples use 8 for LLaDA, 4 and 16 for Dream
 */
public record DelayedKv(int interval) implements CachePolicy {
  /** Checks the value. */
  public DelayedKv {
    if (interval < 1) {
      throw new IllegalArgumentException("interval is %d, must be at least 1".formatted(interval));
    }
  }

  @Override
  public void mark(Decoding decoding, int pass, boolean[] computed) {
    for (int i = 0; i < computed.length; i++) {
      computed[i] = pass % interval == 0 || !decoding.settled(i);
    }
  }

  /** As on the command line. */
  @Override
  public String toString() {
    return "delayed:" + interval;
  }
}
