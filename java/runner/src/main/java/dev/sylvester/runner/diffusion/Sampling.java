package dev.sylvester.runner.diffusion;

import java.util.List;
import java.util.Set;

/**
 * How a token is proposed for a position. Filters come before the proposal and before its
 * confidence, as Dream has them: temperature where tempered, top-p, top-k, softmax. Tokens with
 * equal logits stay or go together. The gap of Prophet knows no filters.
 *
 * @param temperature 0: the most probable token; else a draw from softmax(logits / temperature)
 * @param tempered whether confidence, margin and entropy are those at the temperature (Dream) or at
 *     1 (LLaDA)
 * @param seed of all randomness; the same seed gives the same text
 * @param guidance classifier-free guidance, 0: none; logits become {@code u + (guidance + 1) (z -
 *     u)} with those of a canvas whose known tokens are masked (LLaDA)
 * @param banned tokens that are never proposed: as if their logits were minus infinity
 * @param doubted tokens that can be proposed, but count as impossible where confidence is concerned
 *     (LLaDA's confidence_eos_eot_inf)
 * @param allowMask whether the mask token can be proposed, as in the released code of LLaDA, where
 *     the position then stays unknown
 * @param topK the most probable tokens that stay, 0: all
 * @param topP the most probable tokens stay until their probability reaches it, 1: all
 */
public record Sampling(
    double temperature,
    boolean tempered,
    long seed,
    double guidance,
    Set<Integer> banned,
    Set<Integer> doubted,
    boolean allowMask,
    int topK,
    double topP) {

  /** The most probable token. */
  public static final Sampling GREEDY =
      new Sampling(0, false, 0, 0, Set.of(), Set.of(), false, 0, 1);

  /** Checks the values. */
  public Sampling {
    if (!(temperature >= 0 && temperature < Double.POSITIVE_INFINITY)) {
      throw new IllegalArgumentException(
          "temperature is %s, must be 0 or more".formatted(temperature));
    }
    if (!(guidance >= 0 && guidance < Double.POSITIVE_INFINITY)) {
      throw new IllegalArgumentException("guidance is %s, must be 0 or more".formatted(guidance));
    }
    if (topK < 0) {
      throw new IllegalArgumentException("top-k is %d, must be 0 or more".formatted(topK));
    }
    if (!(topP > 0 && topP <= 1)) {
      throw new IllegalArgumentException("top-p is %s, must be above 0, at most 1".formatted(topP));
    }
    banned = Set.copyOf(banned);
    doubted = Set.copyOf(doubted);
  }

  /** All tokens it names exist. */
  void requireTokensBelow(int vocabSize) {
    for (Set<Integer> tokens : List.of(banned, doubted)) {
      for (int token : tokens) {
        if (token < 0 || token >= vocabSize) {
          throw new IllegalArgumentException(
              "token is %d, must be 0..%d".formatted(token, vocabSize - 1));
        }
      }
    }
  }

  boolean filters() {
    return topK > 0 || topP < 1;
  }

  /** What logits are divided by before confidence, margin and entropy. */
  double temperatureOfStatistics() {
    return tempered && temperature > 0 ? temperature : 1;
  }

  /** The same with another temperature. */
  public Sampling withTemperature(double temperature) {
    return new Sampling(
        temperature, tempered, seed, guidance, banned, doubted, allowMask, topK, topP);
  }

  /** The same with statistics at the temperature or at 1. */
  public Sampling withTempered(boolean tempered) {
    return new Sampling(
        temperature, tempered, seed, guidance, banned, doubted, allowMask, topK, topP);
  }

  /** The same with another seed. */
  public Sampling withSeed(long seed) {
    return new Sampling(
        temperature, tempered, seed, guidance, banned, doubted, allowMask, topK, topP);
  }

  /** The same with guidance. */
  public Sampling withGuidance(double guidance) {
    return new Sampling(
        temperature, tempered, seed, guidance, banned, doubted, allowMask, topK, topP);
  }

  /** The same with other banned tokens. */
  public Sampling withBanned(Set<Integer> banned) {
    return new Sampling(
        temperature, tempered, seed, guidance, banned, doubted, allowMask, topK, topP);
  }

  /** The same with other doubted tokens. */
  public Sampling withDoubted(Set<Integer> doubted) {
    return new Sampling(
        temperature, tempered, seed, guidance, banned, doubted, allowMask, topK, topP);
  }

  /** The same with filters. */
  public Sampling withFilters(int topK, double topP) {
    return new Sampling(
        temperature, tempered, seed, guidance, banned, doubted, allowMask, topK, topP);
  }

  /** The same with the mask token allowed or not. */
  public Sampling withAllowMask(boolean allowMask) {
    return new Sampling(
        temperature, tempered, seed, guidance, banned, doubted, allowMask, topK, topP);
  }
}
