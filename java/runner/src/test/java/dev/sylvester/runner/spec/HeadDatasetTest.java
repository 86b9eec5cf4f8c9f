package dev.sylvester.runner.spec;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.data.Offset.offset;

import dev.sylvester.kernels.Workspace;
import dev.sylvester.runner.GenerationRequest;
import dev.sylvester.runner.Model;
import dev.sylvester.runner.ModelOptions;
import dev.sylvester.runner.Sampler;
import dev.sylvester.runner.Session;
import dev.sylvester.runner.hub.Progress;
import dev.sylvester.runner.spec.HeadTraining.DataOptions;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Collections;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class HeadDatasetTest {
  private static final String QUESTION =
      "Amir picks 5 oranges every day for 5 days. Then Amir doubles the number of oranges. Amir"
          + " sells all of them for 5 dollars each. How many dollars does Amir get?";
  private static final long SEED = 11;
  private static final int INDEX = 4;
  private static final int MAX_TOKENS = 60;

  private static Model target;
  private static Model draft;
  private static int[] prompt;

  @BeforeAll
  static void open() {
    target = Model.load("gsm-mini", ModelOptions.defaults());
    draft = Model.load("gsm-mini-draft", ModelOptions.defaults());
    prompt = target.tokenizer().encode(QUESTION, true);
  }

  @AfterAll
  static void close() {
    draft.close();
    target.close();
  }

  /** Token by token, each with a text of its own. */
  @ParameterizedTest
  @ValueSource(floats = {0, 0.8f})
  void asOneTokenAfterTheOther(float temperature) {
    DataOptions options = new DataOptions(temperature, 0, MAX_TOKENS, SEED);
    try (HeadDataset dataset = new HeadDataset(target, draft, options);
        HeadSamples samples = new HeadSamples(draft.config().hiddenSize());
        Session targetText = target.newSession();
        Session draftText = draft.newSession();
        Session draftOnItsOwn = draft.newSession();
        Workspace workspace = new Workspace();
        Arena arena = Arena.ofConfined()) {
      dataset.add(prompt, INDEX, samples);

      Sampler sampler = Sampler.of(temperature, SEED + INDEX);
      int[] answer =
          targetText
              .generate(GenerationRequest.of(target, prompt, MAX_TOKENS).withSampler(sampler))
              .tokens();
      dev.sylvester.kernels.Sampler drawn =
          dev.sylvester.kernels.Sampler.of(
              sampler.options().withSeed(~sampler.options().seed()), arena);
      int vocabulary = draft.config().vocabSize();
      targetText.reset();
      targetText.append(prompt);
      draftText.append(prompt);
      draftOnItsOwn.append(prompt);
      int row = 0;
      for (int i = 0; i <= answer.length; i++) {
        int candidate = drawn.sample(draftText.logits(), vocabulary, prompt.length + i, workspace);
        double want = acceptance(targetText.logits(), draftText.logits(), candidate, temperature);
        draftOnItsOwn.append(candidate);
        if (!target.endTokens().contains(candidate)) {
          assertThat((double) samples.label(row)).isCloseTo(want, offset(1e-5));
          long bytes = samples.width() * 4L;
          assertThat(
                  samples
                      .hidden()
                      .asSlice(row * bytes, bytes)
                      .mismatch(draftOnItsOwn.hidden().asSlice(0, bytes)))
              .isEqualTo(-1);
          row++;
        }
        if (i < answer.length) {
          targetText.append(answer[i]);
          draftText.append(answer[i]);
        }
      }
      assertThat(row).isGreaterThan(20);
      assertThat(samples.rows()).isEqualTo(row);
    }
  }

  private static double acceptance(
      MemorySegment p, MemorySegment q, int candidate, float temperature) {
    if (temperature == 0) {
      return argmax(p) == candidate ? 1 : 0;
    }
    return Math.min(
        1, probability(p, candidate, temperature) / probability(q, candidate, temperature));
  }

  private static int argmax(MemorySegment logits) {
    int best = 0;
    for (int i = 1; i < logits.byteSize() / 4; i++) {
      best = logits.getAtIndex(JAVA_FLOAT, i) > logits.getAtIndex(JAVA_FLOAT, best) ? i : best;
    }
    return best;
  }

  private static double probability(MemorySegment logits, int token, double temperature) {
    double sum = 0;
    double at = logits.getAtIndex(JAVA_FLOAT, token) / temperature;
    for (int i = 0; i < logits.byteSize() / 4; i++) {
      sum += Math.exp(logits.getAtIndex(JAVA_FLOAT, i) / temperature - at);
    }
    return 1 / sum;
  }

  @Test
  void mixedTokensHaveNoLabel() {
    long all = rows(0);
    assertThat(rows(0.999)).isLessThan(all / 4);
    assertThat(rows(0.5)).isBetween(all / 4, 3 * all / 4);
  }

  private static long rows(double mix) {
    try (HeadDataset dataset =
            new HeadDataset(target, draft, new DataOptions(0, mix, MAX_TOKENS, SEED));
        HeadSamples samples = new HeadSamples(draft.config().hiddenSize())) {
      for (int i = 0; i < 10; i++) {
        dataset.add(prompt, i, samples);
      }
      return samples.rows();
    }
  }

  @Test
  void promptsThatFillTheContextAddNothing() {
    try (HeadDataset dataset =
            new HeadDataset(target, draft, new DataOptions(0, 0.15, MAX_TOKENS, SEED));
        HeadSamples samples = new HeadSamples(draft.config().hiddenSize())) {
      dataset.add(new int[target.context() - 1], 0, samples);
      assertThat(samples.rows()).isZero();
    }
    DataOptions options = new DataOptions(0, 0.15, MAX_TOKENS, SEED);
    List<int[]> prompts = Collections.nCopies(10, new int[target.context() - 1]);
    assertThatThrownBy(() -> HeadTraining.collect(target, draft, prompts, options, Progress.NONE))
        .hasMessage("the prompts leave no room for answers");
  }
}
