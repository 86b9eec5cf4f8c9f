package dev.sylvester.runner;

import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.function.Consumer;

/**
 * What to generate.
 *
 * @param prompt tokens, special tokens included; not empty
 * @param maxTokens most tokens to generate
 * @param sampler how each token is chosen
 * @param stopStrings texts that end the generation; not part of the result
 * @param endTokens tokens that end it; usually the model's own
 * @param stream is given the text as it becomes certain, in whole characters and never any of a
 *     stop string
 */
public record GenerationRequest(
    int[] prompt,
    int maxTokens,
    Sampler sampler,
    List<String> stopStrings,
    Set<Integer> endTokens,
    Consumer<String> stream) {

  /** Checks the values. */
  public GenerationRequest {
    if (prompt.length == 0) {
      throw new IllegalArgumentException("the prompt is empty");
    }
    if (maxTokens < 0) {
      throw new IllegalArgumentException(
          "max tokens is %d, must not be negative".formatted(maxTokens));
    }
    Objects.requireNonNull(sampler, "sampler");
    Objects.requireNonNull(stream, "stream");
    stopStrings = List.copyOf(stopStrings);
    endTokens = Set.copyOf(endTokens);
    if (stopStrings.contains("")) {
      throw new IllegalArgumentException("a stop string is empty");
    }
  }

  /** Greedy, until the model's end token. */
  public static GenerationRequest of(Model model, int[] prompt, int maxTokens) {
    return new GenerationRequest(
        prompt, maxTokens, Sampler.GREEDY, List.of(), model.endTokens(), text -> {});
  }

  /** The same with another sampler. */
  public GenerationRequest withSampler(Sampler sampler) {
    return new GenerationRequest(prompt, maxTokens, sampler, stopStrings, endTokens, stream);
  }

  /** The same with other stop strings. */
  public GenerationRequest withStopStrings(List<String> stopStrings) {
    return new GenerationRequest(prompt, maxTokens, sampler, stopStrings, endTokens, stream);
  }

  /** The same with other end tokens; none: the length alone ends it. */
  public GenerationRequest withEndTokens(Set<Integer> endTokens) {
    return new GenerationRequest(prompt, maxTokens, sampler, stopStrings, endTokens, stream);
  }

  /** The same, streamed. */
  public GenerationRequest withStream(Consumer<String> stream) {
    return new GenerationRequest(prompt, maxTokens, sampler, stopStrings, endTokens, stream);
  }
}
