package dev.sylvester.kernels.spec;

import java.lang.foreign.MemorySegment;

/** Predicts from a draft's hidden state whether the candidate that it has just read is accepted. */
@FunctionalInterface
public interface AcceptancePredictor {
  /**
   * The prediction.
   *
   * @param hidden the draft's last hidden state
   * @return the probability of acceptance given that all candidates before it are accepted
   */
  float predict(MemorySegment hidden);
}
