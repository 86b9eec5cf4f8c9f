package dev.sylvester.runner.diffusion;

import java.util.BitSet;
import java.util.Set;

/**
 * Stops when the known tokens behind the prompt reach an end token: what follows does not matter
 * and becomes that token.
 */
public final class EosPrefix implements StopRule {
  private final BitSet ends = new BitSet();

  /**
   * With end tokens.
   *
   * @param ends tokens that end a text
   */
  public EosPrefix(Set<Integer> ends) {
    if (ends.isEmpty()) {
      throw new IllegalArgumentException("the model has no end token");
    }
    ends.forEach(this.ends::set);
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
      if (ends.get(decoding.token(i))) {
        decoding.fill(decoding.token(i));
        return true;
      }
    }
    return false;
  }
}
