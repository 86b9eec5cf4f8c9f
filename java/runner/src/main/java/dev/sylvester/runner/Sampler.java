package dev.sylvester.runner;

import dev.sylvester.kernels.SamplerOptions;
import java.util.Map;

/**
 * How the next token is chosen from the logits. Filters apply in this order: bias, penalties,
 * temperature, top-k, top-p, min-p, draw. The draw is a pure function of seed and position: the
 * same seed gives the same text for any number of threads.
 *
 * @param options filters and seed; penalties count the prompt and the answer
 * @param bias added to the logits of single tokens
 */
public record Sampler(SamplerOptions options, Map<Integer, Float> bias) {

  /** Always the most probable token. */
  public static final Sampler GREEDY = new Sampler(SamplerOptions.GREEDY, Map.of());

  /** Checks the values: a wrong one should be told before a prompt is read. */
  public Sampler {
    SamplerOptions o = options;
    require(o.temperature() >= 0, "temperature", o.temperature(), "0 or more");
    require(o.topK() >= 0, "top-k", o.topK(), "0 or more");
    require(o.topP() > 0 && o.topP() <= 1, "top-p", o.topP(), "above 0 and at most 1");
    require(o.minP() >= 0 && o.minP() <= 1, "min-p", o.minP(), "0..1");
    require(o.repetitionPenalty() > 0, "repetition penalty", o.repetitionPenalty(), "above 0");
    require(true, "presence penalty", o.presencePenalty(), "finite");
    require(true, "frequency penalty", o.frequencyPenalty(), "finite");
    bias = Map.copyOf(bias);
  }

  private static void require(boolean holds, String name, float value, String range) {
    if (!holds || !Float.isFinite(value)) {
      throw new IllegalArgumentException("%s is %s, must be %s".formatted(name, value, range));
    }
  }

  /** Draws at this temperature. */
  public static Sampler of(float temperature, long seed) {
    return new Sampler(SamplerOptions.GREEDY.withTemperature(temperature).withSeed(seed), Map.of());
  }

  /** Whether earlier tokens change the choice. */
  boolean usesHistory() {
    return options.usesHistory();
  }
}
