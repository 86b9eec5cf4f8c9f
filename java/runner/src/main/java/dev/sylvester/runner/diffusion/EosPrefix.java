package dev.sylvester.runner.diffusion;

import java.util.Set;

/**
 * Stops when the known tokens behind the prompt reach an end token: what follows does not matter
 * and becomes that token.
 *
 * @param ends tokens that end a text
 */
public record EosPrefix(Set<Integer> ends) implements StopRule {
  /** Checks the value. */
  public EosPrefix {
    ends = Set.copyOf(ends);
    if (ends.isEmpty()) {
      throw new IllegalArgumentException("the model has no end token");
    }
  }

  @Override
  public String name() {
    return "eos";
  }

  @Override
  public boolean isDone(Decoding decoding) {
    Canvas canvas = decoding.canvas();
    for (int i = canvas.promptLength(); i < canvas.tokens().length; i++) {
      if (decoding.token(i) == canvas.maskId()) {
        return false;
      }
      if (ends.contains(decoding.token(i))) {
        decoding.fill(decoding.token(i));
        return true;
      }
    }
    return false;
  }
}
