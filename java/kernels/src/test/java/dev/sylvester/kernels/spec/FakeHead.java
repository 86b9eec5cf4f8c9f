package dev.sylvester.kernels.spec;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import java.lang.foreign.MemorySegment;

/** A predictor that takes a hidden state's first number for the probability. */
final class FakeHead implements AcceptancePredictor {
  @Override
  public float predict(MemorySegment hidden) {
    return hidden.get(JAVA_FLOAT, 0);
  }
}
