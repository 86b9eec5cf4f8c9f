package dev.sylvester.kernels.spec;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import dev.sylvester.kernels.LogitsOptions;
import dev.sylvester.kernels.LogitsStats;
import dev.sylvester.kernels.Sampler;
import dev.sylvester.kernels.SamplerOptions;
import dev.sylvester.kernels.SpecMode;
import dev.sylvester.kernels.Status;
import dev.sylvester.kernels.SylvesterException;
import dev.sylvester.kernels.Workspace;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Map;

/** How tokens of the target and of drafts are drawn, and which of them end a text. */
final class Sampling {
  private final SamplerOptions options;
  private final SpecMode mode;
  private final int vocabulary;
  private final Arena arena;
  private final Workspace workspace;
  private final Sampler target;
  private final Sampler[][] own = new Sampler[256][0]; // by depth and sibling
  private final MemorySegment biasIds;
  private final MemorySegment biasValues;
  private final int biasCount;
  private final boolean penalties;
  private final int[] ends;
  private final MemorySegment endIds;
  private Sampler last;
  private LogitsStats stats; // null until a rule asks for entropy
  private LogitsOptions statsOptions;

  Sampling(SpecOptions spec, int vocabulary, Workspace workspace, Arena arena) {
    boolean greedy = spec.mode() == SpecMode.GREEDY || spec.sampler().temperature() == 0;
    this.options = greedy ? spec.sampler().withTemperature(0) : spec.sampler();
    this.mode = greedy ? SpecMode.GREEDY : spec.mode();
    this.vocabulary = vocabulary;
    this.arena = arena;
    this.workspace = workspace;
    this.target = Sampler.of(options, arena);
    this.penalties = options.usesHistory();
    this.biasCount = spec.bias().size();
    this.biasIds = arena.allocate(JAVA_INT, biasCount);
    this.biasValues = arena.allocate(JAVA_FLOAT, biasCount);
    int i = 0;
    for (Map.Entry<Integer, Float> entry : spec.bias().entrySet()) {
      biasIds.setAtIndex(JAVA_INT, i, entry.getKey());
      biasValues.setAtIndex(JAVA_FLOAT, i++, entry.getValue());
    }
    this.ends = spec.endTokens().stream().mapToInt(Integer::intValue).toArray();
    this.endIds = arena.allocateFrom(JAVA_INT, ends);
  }

  /** The mode of verification: at temperature 0 every law is a text. */
  SpecMode mode() {
    return mode;
  }

  /** Whether verification asks how candidates were drawn. */
  boolean stochastic() {
    return mode == SpecMode.TOKEN || mode == SpecMode.BLOCK;
  }

  Sampler target() {
    return target;
  }

  /** Whether penalties count the text. */
  boolean penalties() {
    return penalties;
  }

  MemorySegment biasIds() {
    return biasIds;
  }

  MemorySegment biasValues() {
    return biasValues;
  }

  int biasCount() {
    return biasCount;
  }

  /** Tokens that end a text. */
  MemorySegment endIds() {
    return endIds;
  }

  int endCount() {
    return ends.length;
  }

  boolean ends(int token) {
    for (int end : ends) {
      if (end == token) {
        return true;
      }
    }
    return false;
  }

  int draw(MemorySegment logits, Draft draft, int parent, int depth, int sibling) {
    last = sampler(depth, sibling);
    Text text = draft.text();
    MemorySegment history = text.memory(depth);
    int count = penalties ? text.length() + draft.path(parent, history) : 0;
    return last.sample(
        logits,
        vocabulary,
        history,
        count,
        biasIds,
        biasValues,
        biasCount,
        text.length() + depth - 1L,
        workspace);
  }

  /** Of the candidate drawn last. */
  float logProbability() {
    return last.logProbability();
  }

  private Sampler sampler(int depth, int sibling) {
    if (mode == SpecMode.GREEDY && sibling > 0) {
      throw new IllegalStateException(
          "Draft.draw: GREEDY draws one child of a node; add others that are likely");
    }
    // The target's own noise: the draft agrees with it as often as can be.
    if (!stochastic() && sibling == 0) {
      return target;
    }
    if (own[depth].length <= sibling) {
      own[depth] = Arrays.copyOf(own[depth], sibling + 1);
    }
    if (own[depth][sibling] == null) {
      own[depth][sibling] = Sampler.forDraft(options, depth, sibling, arena);
    }
    return own[depth][sibling];
  }

  /** Entropy of softmax(logits / T), before bias, penalties and filters, in nats; NaN: none. */
  double entropy(MemorySegment logits) {
    if (stats == null) {
      stats = LogitsStats.allocate(1, arena);
      float temperature = options.temperature() > 0 ? options.temperature() : 1;
      statsOptions = LogitsOptions.allocate(arena).temperature(temperature);
    }
    try {
      stats.compute(statsOptions, logits, null, vocabulary, 1, vocabulary, null, null, 1, null);
    } catch (SylvesterException e) {
      if (e.status() != Status.BAD_DATA) {
        throw e;
      }
      return Double.NaN;
    }
    return stats.entropy(0);
  }
}
