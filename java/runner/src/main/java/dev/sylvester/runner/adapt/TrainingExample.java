package dev.sylvester.runner.adapt;

import java.util.stream.IntStream;

/**
 * A text to learn from, of which only the answer counts.
 *
 * @param tokens prompt and answer
 * @param prompt tokens of the prompt, at least 1
 */
public record TrainingExample(int[] tokens, int prompt) {
  /** Both parts have tokens. */
  public TrainingExample {
    if (prompt < 1 || prompt >= tokens.length) {
      throw new IllegalArgumentException(
          "an example of %d tokens has a prompt of %d, must be at least 1 and leave an answer"
              .formatted(tokens.length, prompt));
    }
  }

  /** Prompt, then answer, end mark included. */
  public static TrainingExample of(int[] prompt, int[] answer) {
    int[] tokens = IntStream.concat(IntStream.of(prompt), IntStream.of(answer)).toArray();
    return new TrainingExample(tokens, prompt.length);
  }

  /** Tokens that are learned. */
  public int answer() {
    return tokens.length - prompt;
  }
}
