package dev.sylvester.runner;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A token's logits have the same bits however the tokens before it were grouped. */
class RowInvarianceTest {
  private static final int SEED = 4711;

  private static Path path(String name) {
    return Golden.ROOT.resolve("tests/golden").resolve(name);
  }

  private static int[] tokens(Model model, int count) {
    return new Random(SEED).ints(count, 0, model.config().vocabSize()).toArray();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "checkpoints/llama-mha-untied",
        "checkpoints/llama-gqa-f16",
        "checkpoints/llama-gqa-bf16",
        "checkpoints/mistral-window",
        "checkpoints/qwen2-bias",
        "checkpoints/qwen3-qk-norm",
        "gguf/llama-legacy.gguf",
        "gguf/llama-kquants.gguf"
      })
  void groupingAndThreadsDoNotMatter(String name) {
    float[][] reference = null;
    for (String cache : new String[] {"f16", "f32"}) {
      reference = null;
      for (int threads : new int[] {1, 2, 4}) {
        ModelOptions options =
            ModelOptions.defaults().withThreads(threads).withCache(CacheOptions.of(cache));
        try (Model model = Model.load(path(name), options);
            Session session = model.newSession()) {
          int[] tokens = tokens(model, 100);
          float[][] all = Rows.all(session, tokens);
          reference = reference == null ? all : reference;
          assertThat(all).as("%d threads", threads).isDeepEqualTo(reference);

          session.reset();
          assertThat(Rows.oneByOne(session, tokens)).isDeepEqualTo(reference);

          for (int chunk : new int[] {2, 15, 16, 17, 33, 64, 99}) {
            session.reset();
            for (int from = 0; from < tokens.length; from += chunk) {
              int to = Math.min(tokens.length, from + chunk);
              session.append(Arrays.copyOfRange(tokens, from, to));
              assertThat(Rows.of(session.logits()))
                  .as("chunks of %d, up to %d", chunk, to)
                  .isEqualTo(reference[to - 1]);
            }
          }
        }
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = "checkpoints/mistral-window")
  void goingBackLeavesNoTrace(String name) {
    try (Model model = Model.load(path(name), ModelOptions.defaults());
        Session session = model.newSession()) {
      int[] tokens = tokens(model, 60);
      float[][] reference = Rows.all(session, tokens);
      for (int length : new int[] {59, 31, 16, 1}) {
        session.truncate(length);
        int[] other = new Random(SEED + length).ints(20, 0, model.config().vocabSize()).toArray();
        session.append(other);
        session.truncate(length);
        session.append(Arrays.copyOfRange(tokens, length, tokens.length));
        assertThat(Rows.of(session.logits())).isEqualTo(reference[tokens.length - 1]);
      }
    }
  }
}
