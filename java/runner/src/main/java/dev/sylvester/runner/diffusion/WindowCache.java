package dev.sylvester.runner.diffusion;

import java.util.Arrays;
import java.util.Locale;

/** What is outside the window stays as it was in the window's first pass (Fast-dLLM). */
enum WindowCache implements CachePolicy {
  NONE,
  PREFIX,
  DUAL;

  @Override
  public boolean suffixes() {
    return this != DUAL;
  }

  @Override
  public void mark(Decoding decoding, int pass, boolean[] computed) {
    boolean all = pass == 0 || this == NONE;
    int from = all ? 0 : decoding.stage().from();
    int to = all || this == PREFIX ? computed.length : decoding.stage().to();
    // A shifted model predicts the window's first position in the row before it.
    Arrays.fill(computed, decoding.rowOf(from), to, true);
  }

  /** Lower case, as on the command line. */
  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}
