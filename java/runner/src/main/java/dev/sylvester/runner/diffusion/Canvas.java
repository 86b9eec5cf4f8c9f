package dev.sylvester.runner.diffusion;

import java.util.Arrays;
import java.util.List;

/**
 * A text with unknown tokens. What is known at the beginning stays as it is.
 *
 * @param tokens prompt and generated part; unknown ones are the mask token
 * @param promptLength tokens of the prompt; may contain masks, which are filled too
 * @param maskId the mask token
 */
public record Canvas(int[] tokens, int promptLength, int maskId) {

  /**
   * Tokens that are given in the generated part.
   *
   * @param offset of the first of them from the end of the prompt
   * @param tokens the tokens
   */
  public record Constraint(int offset, int[] tokens) {}

  /** Checks the values. */
  public Canvas {
    if (maskId < 0) {
      throw new IllegalArgumentException("the model has no mask token");
    }
    if (promptLength < 0 || promptLength >= tokens.length) {
      throw new IllegalArgumentException(
          "prompt length is %d, must be 0..%d".formatted(promptLength, tokens.length - 1));
    }
    tokens = tokens.clone();
  }

  /** Everything behind the prompt is unknown. */
  public static Canvas of(int[] prompt, int length, int maskId) {
    return of(prompt, length, maskId, List.of());
  }

  /**
   * Everything behind the prompt is unknown, but for constraints.
   *
   * @param length tokens behind the prompt
   * @throws IllegalArgumentException when a constraint does not fit
   */
  public static Canvas of(int[] prompt, int length, int maskId, List<Constraint> constraints) {
    if (length < 1) {
      throw new IllegalArgumentException(
          "generation length is %d, must be at least 1".formatted(length));
    }
    int[] tokens = Arrays.copyOf(prompt, Math.addExact(prompt.length, length));
    Arrays.fill(tokens, prompt.length, tokens.length, maskId);
    for (Constraint constraint : constraints) {
      int end = constraint.offset() + constraint.tokens().length;
      if (constraint.offset() < 0 || end > length) {
        throw new IllegalArgumentException(
            "a constraint is at %d..%d, the generated part at 0..%d"
                .formatted(constraint.offset(), end - 1, length - 1));
      }
      System.arraycopy(
          constraint.tokens(),
          0,
          tokens,
          prompt.length + constraint.offset(),
          constraint.tokens().length);
    }
    return new Canvas(tokens, prompt.length, maskId);
  }

  /** Tokens behind the prompt. */
  public int length() {
    return tokens.length - promptLength;
  }

  /** Unknown tokens among positions {@code from <= i < to}. */
  public int masks(int from, int to) {
    int count = 0;
    for (int i = from; i < to; i++) {
      count += tokens[i] == maskId ? 1 : 0;
    }
    return count;
  }
}
