package dev.sylvester.kernels.spec;

import dev.sylvester.kernels.SamplerOptions;
import dev.sylvester.kernels.SpecMode;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/**
 * How {@link Speculation} works.
 *
 * @param mode what verification promises
 * @param sampler how the target's tokens are drawn; the draft's too
 * @param bias added to logits, by token
 * @param endTokens tokens that end a text
 * @param rule when a draft is long enough
 * @param predictor of acceptance, from hidden states, for candidates that are drawn; null:
 *     acceptance is learned from what the source says about its candidates
 * @param gate whether to decode plainly while drafting does not pay; then a round in 64 tries again
 * @param nodes most candidates of a round, 1..255
 */
public record SpecOptions(
    SpecMode mode,
    SamplerOptions sampler,
    Map<Integer, Float> bias,
    Set<Integer> endTokens,
    StopRule rule,
    AcceptancePredictor predictor,
    boolean gate,
    int nodes) {

  /** Checks and copies. */
  public SpecOptions {
    Objects.requireNonNull(mode, "mode");
    Objects.requireNonNull(sampler, "sampler");
    Objects.requireNonNull(rule, "rule");
    bias = Map.copyOf(bias);
    endTokens = Set.copyOf(endTokens);
    if (nodes < 1 || nodes > 255) {
      throw new IllegalArgumentException("nodes is " + nodes + ", must be 1..255");
    }
  }

  /**
   * Options: the cost rule, no bias, no end tokens, the gate on.
   *
   * @param mode what verification promises
   * @param sampler how tokens are drawn
   * @return the options
   */
  public static SpecOptions of(SpecMode mode, SamplerOptions sampler) {
    StopRule rule = new StopRule.Cost(1, 20);
    return new SpecOptions(mode, sampler, Map.of(), Set.of(), rule, null, true, 64);
  }

  /**
   * With a bias.
   *
   * @param value added to logits, by token
   * @return the changed copy
   */
  public SpecOptions withBias(Map<Integer, Float> value) {
    return new SpecOptions(mode, sampler, value, endTokens, rule, predictor, gate, nodes);
  }

  /**
   * With tokens that end a text.
   *
   * @param value the tokens
   * @return the changed copy
   */
  public SpecOptions withEndTokens(Set<Integer> value) {
    return new SpecOptions(mode, sampler, bias, value, rule, predictor, gate, nodes);
  }

  /**
   * With a rule for the length of drafts.
   *
   * @param value the rule
   * @return the changed copy
   */
  public SpecOptions withRule(StopRule value) {
    return new SpecOptions(mode, sampler, bias, endTokens, value, predictor, gate, nodes);
  }

  /**
   * With an acceptance head.
   *
   * @param value predicts acceptance; null: none
   * @return the changed copy
   */
  public SpecOptions withPredictor(AcceptancePredictor value) {
    return new SpecOptions(mode, sampler, bias, endTokens, rule, value, gate, nodes);
  }

  /**
   * With or without the gate.
   *
   * @param value whether to decode plainly while drafting does not pay
   * @return the changed copy
   */
  public SpecOptions withGate(boolean value) {
    return new SpecOptions(mode, sampler, bias, endTokens, rule, predictor, value, nodes);
  }

  /**
   * With another limit of candidates.
   *
   * @param value most candidates of a round, 1..255
   * @return the changed copy
   */
  public SpecOptions withNodes(int value) {
    return new SpecOptions(mode, sampler, bias, endTokens, rule, predictor, gate, value);
  }
}
