package dev.sylvester.runner.spec;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import dev.sylvester.kernels.LogitsStats;
import dev.sylvester.kernels.SamplerOptions;
import dev.sylvester.kernels.Workspace;
import dev.sylvester.runner.GenerationRequest;
import dev.sylvester.runner.Model;
import dev.sylvester.runner.Sampler;
import dev.sylvester.runner.Session;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.stream.IntStream;

/**
 * What an acceptance head learns from, as SpecDec++ makes it: X, what the target says; Y_i, what
 * the draft would say after X_&lt;i; Z, which is X_i with the probability mix and else Y_i. The
 * draft reads Z; its hidden state at Y_i gets the label min(1, p(Y_i) / q(Y_i)) of X_&lt;i, and
 * states at X_i are left out. Distributions are those of the temperature at which the head will
 * serve.
 */
final class HeadDataset implements AutoCloseable {
  private final Session target;
  private final Session draft;
  private final Set<Integer> ends;
  private final int vocabulary;
  private final int width;
  private final int maxTokens;
  private final double mix;
  private final float temperature;
  private final long seed;
  private final SplittableRandom random;
  private final Workspace workspace = new Workspace();

  HeadDataset(Model target, Model draft, HeadTraining.DataOptions options) {
    if (target.config().vocabSize() != draft.config().vocabSize()) {
      throw new IllegalArgumentException(
          "%s has %,d tokens, %s %,d: a draft needs the target's vocabulary"
              .formatted(
                  target.path(),
                  target.config().vocabSize(),
                  draft.path(),
                  draft.config().vocabSize()));
    }
    for (Model model : List.of(target, draft)) {
      if (model.config().bidirectional()) {
        throw new IllegalArgumentException(
            "%s is bidirectional: it does not predict a next token".formatted(model.path()));
      }
    }
    this.target = target.newSession();
    this.draft = draft.newSession();
    this.ends = target.endTokens();
    this.vocabulary = target.config().vocabSize();
    this.width = draft.config().hiddenSize();
    this.maxTokens = options.maxTokens();
    this.mix = options.mix();
    this.temperature = options.temperature();
    this.seed = options.seed();
    this.random = new SplittableRandom(options.seed());
  }

  /**
   * Adds the states of one prompt.
   *
   * @param index of the prompt, by which its random numbers differ
   */
  void add(int[] prompt, int index, HeadSamples samples) {
    int room = Math.min(target.context(), draft.context()) - prompt.length - 1;
    if (room < 1) {
      return;
    }
    int[] answer =
        target
            .generate(
                GenerationRequest.of(target.model(), prompt, Math.min(room, maxTokens))
                    .withSampler(Sampler.of(temperature, seed + index)))
            .tokens();
    int[] text = join(prompt, answer);
    int[] candidates = new int[answer.length + 1]; // one can stand behind the answer too
    float[] labels = new float[candidates.length];
    SamplerOptions options = Sampler.of(temperature, seed + index).options();
    propose(text, prompt.length, options, candidates, labels);
    judge(text, prompt.length, candidates, labels);
    int[] mixed = candidates.clone();
    for (int i = 0; i < mixed.length; i++) {
      if (i < answer.length && random.nextDouble() < mix) {
        mixed[i] = answer[i];
        labels[i] = Float.NaN;
      } else if (ends.contains(candidates[i])) {
        labels[i] = Float.NaN; // no candidate follows an end, so none is judged there
      }
    }
    collect(join(prompt, mixed), prompt.length, labels, samples);
  }

  /** What the draft would say after each X_&lt;i, and the logarithms of q. */
  private void propose(
      int[] text, int promptLength, SamplerOptions options, int[] candidates, float[] logQ) {
    try (Arena arena = Arena.ofConfined()) {
      // Another seed: independent of what the target has drawn.
      dev.sylvester.kernels.Sampler sampler =
          dev.sylvester.kernels.Sampler.of(options.withSeed(~options.seed()), arena);
      forRows(
          draft,
          text,
          promptLength - 1,
          (position, logits) -> {
            int i = position - (promptLength - 1);
            candidates[i] = sampler.sample(logits, vocabulary, position + 1, workspace);
            logQ[i] = sampler.logProbability();
          });
    }
  }

  /** Replaces the logarithms of q by labels. */
  private void judge(int[] text, int promptLength, int[] candidates, float[] labels) {
    try (Arena arena = Arena.ofConfined()) {
      dev.sylvester.kernels.Sampler greedy =
          dev.sylvester.kernels.Sampler.of(SamplerOptions.GREEDY, arena);
      MemorySegment scaled = arena.allocate((long) vocabulary * Float.BYTES, Float.BYTES);
      LogitsStats stats = LogitsStats.allocate(1, arena);
      forRows(
          target,
          text,
          promptLength - 1,
          (position, logits) -> {
            int i = position - (promptLength - 1);
            if (temperature == 0) {
              int best = greedy.sample(logits, vocabulary, position + 1, workspace);
              labels[i] = best == candidates[i] ? 1 : 0;
              return;
            }
            for (int token = 0; token < vocabulary; token++) {
              float logit = logits.getAtIndex(JAVA_FLOAT, token) / temperature;
              scaled.setAtIndex(JAVA_FLOAT, token, logit);
            }
            stats.compute(scaled, vocabulary, 1, vocabulary, null);
            double logP = scaled.getAtIndex(JAVA_FLOAT, candidates[i]) - stats.logSumExp(0);
            labels[i] = (float) Math.exp(Math.min(0, logP - labels[i]));
          });
    }
  }

  private void collect(int[] text, int promptLength, float[] labels, HeadSamples samples) {
    draft.reset();
    draft.append(
        text,
        (first, rows, logits) -> {
          for (int row = 0; row < rows; row++) {
            int i = first + row - promptLength;
            if (i >= 0 && !Float.isNaN(labels[i])) {
              samples.add(draft.hidden().asSlice((long) row * width * Float.BYTES), labels[i]);
            }
          }
        });
  }

  @FunctionalInterface
  private interface RowConsumer {
    void accept(int position, MemorySegment logits);
  }

  private void forRows(Session session, int[] text, int from, RowConsumer consumer) {
    long rowBytes = (long) vocabulary * Float.BYTES;
    session.reset();
    session.append(
        text,
        (first, rows, logits) -> {
          for (int row = Math.max(0, from - first); row < rows; row++) {
            consumer.accept(first + row, logits.asSlice(row * rowBytes, rowBytes));
          }
        });
  }

  private static int[] join(int[] a, int[] b) {
    return IntStream.concat(IntStream.of(a), IntStream.of(b)).toArray();
  }

  @Override
  public void close() {
    workspace.close();
    draft.close();
    target.close();
  }
}
