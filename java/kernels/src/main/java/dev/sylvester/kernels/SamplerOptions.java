package dev.sylvester.kernels;

import dev.sylvester.kernels.ffi.syl_sampler;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * How tokens are drawn. Filters apply in this order: logit bias, penalties, temperature, top-k,
 * top-p, min-p, draw; see {@code sylvester/logits.h}.
 *
 * @param temperature at least 0; 0: the largest logit wins
 * @param topK 0: off
 * @param topP (0, 1]; 1: off
 * @param minP [0, 1]; 0: off
 * @param repetitionPenalty more than 0; 1: off
 * @param presencePenalty 0: off
 * @param frequencyPenalty 0: off
 * @param seed of the random numbers; together with the position it fixes a draw
 */
public record SamplerOptions(
    float temperature,
    int topK,
    float topP,
    float minP,
    float repetitionPenalty,
    float presencePenalty,
    float frequencyPenalty,
    long seed) {

  /** The largest logit wins. */
  public static final SamplerOptions GREEDY = new SamplerOptions(0, 0, 1, 0, 1, 0, 0, 0);

  /**
   * Whether penalties make earlier tokens count.
   *
   * @return whether they do
   */
  public boolean usesHistory() {
    return repetitionPenalty != 1 || presencePenalty != 0 || frequencyPenalty != 0;
  }

  /**
   * With another temperature.
   *
   * @param value at least 0; 0: the largest logit wins
   * @return the changed copy
   */
  public SamplerOptions withTemperature(float value) {
    return new SamplerOptions(
        value, topK, topP, minP, repetitionPenalty, presencePenalty, frequencyPenalty, seed);
  }

  /**
   * Only the k largest logits.
   *
   * @param value 0: off
   * @return the changed copy
   */
  public SamplerOptions withTopK(int value) {
    return new SamplerOptions(
        temperature, value, topP, minP, repetitionPenalty, presencePenalty, frequencyPenalty, seed);
  }

  /**
   * Only the most probable tokens whose probability together reaches p.
   *
   * @param value (0, 1]; 1: off
   * @return the changed copy
   */
  public SamplerOptions withTopP(float value) {
    return new SamplerOptions(
        temperature, topK, value, minP, repetitionPenalty, presencePenalty, frequencyPenalty, seed);
  }

  /**
   * Only tokens at least so probable, relative to the most probable one.
   *
   * @param value [0, 1]; 0: off
   * @return the changed copy
   */
  public SamplerOptions withMinP(float value) {
    return new SamplerOptions(
        temperature, topK, topP, value, repetitionPenalty, presencePenalty, frequencyPenalty, seed);
  }

  /**
   * Penalties on tokens of the history.
   *
   * @param repetition more than 0; 1: off
   * @param presence 0: off
   * @param frequency 0: off
   * @return the changed copy
   */
  public SamplerOptions withPenalties(float repetition, float presence, float frequency) {
    return new SamplerOptions(temperature, topK, topP, minP, repetition, presence, frequency, seed);
  }

  /**
   * With another seed.
   *
   * @param value any
   * @return the changed copy
   */
  public SamplerOptions withSeed(long value) {
    return new SamplerOptions(
        temperature, topK, topP, minP, repetitionPenalty, presencePenalty, frequencyPenalty, value);
  }

  MemorySegment toNative(int purpose, Arena arena) {
    MemorySegment struct = arena.allocate(syl_sampler.layout());
    syl_sampler.struct_size(struct, (int) syl_sampler.sizeof());
    syl_sampler.temperature(struct, temperature);
    syl_sampler.top_k(struct, topK);
    syl_sampler.top_p(struct, topP);
    syl_sampler.min_p(struct, minP);
    syl_sampler.repetition_penalty(struct, repetitionPenalty);
    syl_sampler.presence_penalty(struct, presencePenalty);
    syl_sampler.frequency_penalty(struct, frequencyPenalty);
    syl_sampler.seed(struct, seed);
    syl_sampler.purpose(struct, purpose);
    return struct;
  }
}
