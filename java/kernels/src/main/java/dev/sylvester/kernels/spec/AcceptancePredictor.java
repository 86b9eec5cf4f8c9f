package dev.sylvester.kernels.spec;

import dev.sylvester.kernels.AcceptanceHead;
import dev.sylvester.kernels.ThreadPool;
import dev.sylvester.kernels.Workspace;
import java.lang.foreign.MemorySegment;

/** Predicts from a draft's hidden state whether the candidate that it has just read is accepted. */
@FunctionalInterface
public interface AcceptancePredictor {
  /**
   * The prediction.
   *
   * @param hidden the draft's last hidden state
   * @return the probability of acceptance given that all candidates before it are accepted;
   *     anything else but 0..1: none, and a rule that asks for it stops
   */
  float predict(MemorySegment hidden);

  /**
   * SpecDec++'s head.
   *
   * @param head for hidden states of its width
   * @param workspace scratch memory, which stays the caller's
   * @param pool threads, or null
   * @return the predictor
   */
  static AcceptancePredictor of(AcceptanceHead head, Workspace workspace, ThreadPool pool) {
    return hidden -> head.accept(hidden, workspace, pool);
  }
}
