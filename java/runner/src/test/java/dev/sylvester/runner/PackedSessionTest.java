package dev.sylvester.runner;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.sylvester.kernels.KvPlan;
import dev.sylvester.runner.hub.Progress;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Sessions with packed caches: what is computed never depends on what was cached, and how. */
class PackedSessionTest {
  private static final int SEED = 4711;
  private static final int PROMPT = 100;

  @TempDir private static Path folder;

  private static Model model;

  @BeforeAll
  static void open() throws IOException {
    model = Model.load("gsm-mini", ModelOptions.defaults().withThreads(2));
    for (String preset : List.of("best", "rotatekv")) {
      try (KvPlan plan =
          model.calibrate(CacheOptions.of(preset), List.of(tokens(400, 1)), Progress.NONE)) {
        plan.save(folder.resolve(preset));
      }
    }
  }

  @AfterAll
  static void close() {
    model.close();
  }

  private static int[] tokens(int count, int seed) {
    return new Random(seed).ints(count, 0, model.config().vocabSize()).toArray();
  }

  /** Presets that are calibrated come from a plan made here. */
  private static CacheOptions cache(String name) {
    CacheOptions options = CacheOptions.of(name);
    return options.needsCalibration() ? CacheOptions.ofPlan(folder.resolve(name)) : options;
  }

  private static float[] last(Session session) {
    return Rows.of(session.logits());
  }

  /** The prompt in one append, since it decides about sinks, then logits of all other tokens. */
  private static float[][] read(Session session, int[] tokens) {
    session.reset();
    session.append(Arrays.copyOf(tokens, PROMPT));
    return Rows.all(session, Arrays.copyOfRange(tokens, PROMPT, tokens.length));
  }

  @ParameterizedTest
  @ValueSource(strings = {"q8", "q4", "quarot", "turbo", "best", "rotatekv"})
  void groupingAndThreadsDoNotMatter(String name) {
    int[] tokens = tokens(300, SEED);
    float[][] reference;
    try (Session session = model.newSession(cache(name))) {
      reference = read(session, tokens);
      for (int chunk : new int[] {1, 15, 16, 130, 199}) {
        session.reset();
        session.append(Arrays.copyOf(tokens, PROMPT));
        for (int from = PROMPT; from < tokens.length; from += chunk) {
          int to = Math.min(tokens.length, from + chunk);
          session.append(Arrays.copyOfRange(tokens, from, to));
          assertThat(last(session)).as("chunks of %d", chunk).isEqualTo(reference[to - 1 - PROMPT]);
        }
      }
    }
    for (int threads : new int[] {1, 3}) {
      try (Model other = Model.load("gsm-mini", ModelOptions.defaults().withThreads(threads));
          Session session = other.newSession(cache(name))) {
        assertThat(read(session, tokens)).as("%d threads", threads).isDeepEqualTo(reference);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"q4", "turbo"})
  void theGroupingOfThePromptDoesNotMatterWithoutSinks(String name) {
    int[] tokens = tokens(150, SEED);
    try (Session session = model.newSession(cache(name))) {
      float[][] reference = Rows.all(session, tokens);
      session.reset();
      assertThat(Rows.oneByOne(session, tokens)).isDeepEqualTo(reference);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"q4", "turbo", "best", "rotatekv"})
  void goingBackLeavesNoTrace(String name) {
    int[] tokens = tokens(400, SEED);
    try (Session session = model.newSession(cache(name))) {
      float[][] reference = read(session, tokens);
      // Behind the prompt: 390 and 300 are within the reach of a window, the others are not.
      for (int length : new int[] {390, 300, 200, PROMPT + 1, PROMPT, 0}) {
        session.truncate(length);
        session.append(tokens(30, SEED + length));
        session.truncate(length);
        int next = Math.max(length, PROMPT);
        if (length < next) {
          session.append(Arrays.copyOfRange(tokens, length, next));
        }
        session.append(Arrays.copyOfRange(tokens, next, tokens.length));
        assertThat(last(session)).as("back to %d", length).isEqualTo(reference[299]);
      }
    }
  }

  @Test
  void logitsComeForNewTokensOnlyWhenOldOnesAreReadAgain() {
    int[] tokens = tokens(300, SEED);
    try (Session session = model.newSession(cache("best"))) {
      float[][] reference = Rows.all(session, tokens);
      session.truncate(40);
      int[] next = {40};
      session.append(
          Arrays.copyOfRange(tokens, 40, 300),
          (first, rows, logits) -> {
            assertThat(first).isEqualTo(next[0]);
            next[0] += rows;
            long vocab = model.config().vocabSize() * 4L;
            for (int row = 0; row < rows; row++) {
              assertThat(Rows.of(logits.asSlice(row * vocab, vocab)))
                  .isEqualTo(reference[first + row]);
            }
          });
      assertThat(next[0]).isEqualTo(300);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"f16", "q4", "best"})
  void forksGoTheirOwnWays(String name) {
    CacheOptions cache = CacheOptions.of(name).floats() ? CacheOptions.of(name) : cache(name);
    int[] prompt = tokens(77, SEED);
    int[] one = tokens(60, 2);
    int[] two = tokens(60, 3);
    Session session = model.newSession(cache);
    session.append(prompt);
    try (Session fork = session.fork();
        Session fresh = model.newSession(cache)) {
      assertThat(last(fork)).isEqualTo(last(session));
      session.append(one);
      fork.append(two);
      fresh.append(prompt);
      fresh.append(one);
      assertThat(last(session)).isEqualTo(last(fresh));
      session.close();
      fresh.truncate(prompt.length);
      fresh.append(two);
      assertThat(last(fork)).isEqualTo(last(fresh));
      assertThat(fork.tokens()).isEqualTo(fresh.tokens());
    }
  }

  @Test
  void sinksAreChosenInThePrompt() {
    int[] prompt = tokens(60, SEED);
    int[] rest = tokens(20, 2);
    try (Session session = model.newSession(cache("rotatekv"))) {
      session.append(prompt);
      session.append(rest);
      float[] reference = last(session);
      assertThat(session.cacheUsage().sinkTokens()).isBetween(1L, 20L);
      session.truncate(60);
      session.append(rest);
      assertThat(last(session)).isEqualTo(reference);
      // Before the end of the prompt there is another prompt.
      session.truncate(59);
      session.append(Arrays.copyOfRange(prompt, 59, 60));
      session.append(rest);
      assertThat(last(session)).isEqualTo(reference);
      session.truncate(30);
      session.append(rest);
      float[] other = last(session);
      assertThat(other).isNotEqualTo(reference);
      session.reset();
      session.append(prompt);
      session.append(rest);
      assertThat(last(session)).isEqualTo(reference);
      try (Session fork = session.fork()) {
        fork.truncate(30);
        fork.append(Arrays.copyOfRange(prompt, 30, 60));
        fork.append(rest);
        assertThat(last(fork)).isEqualTo(reference);
      }
    }
  }

  @Test
  void aRefusedTokenChangesNothing() {
    int[] tokens = tokens(50, SEED);
    try (Session session = model.newSession(cache("best"));
        Session fresh = model.newSession(cache("best"))) {
      session.append(tokens);
      float[] before = last(session);
      assertThatThrownBy(() -> session.append(new int[] {4, -1})).hasMessageContaining("-1");
      assertThat(last(session)).isEqualTo(before);
      assertThat(session.tokens()).isEqualTo(tokens);
      session.append(5);
      fresh.append(tokens);
      fresh.append(5);
      assertThat(last(session)).isEqualTo(last(fresh));
    }
  }

  @Test
  void aFullCacheIsTold() {
    ModelOptions options = ModelOptions.defaults().withContext(128).withSessions(1);
    int[] tokens = tokens(128, SEED);
    try (Model small = Model.load("gsm-mini", options.withCache(CacheOptions.of("q4")));
        Session first = small.newSession();
        Session second = small.newSession()) {
      first.append(tokens);
      float[] logits = last(first);
      assertThatThrownBy(() -> second.append(tokens)).hasMessageContaining("page");
      first.truncate(127);
      first.append(tokens[127]);
      assertThat(last(first)).isEqualTo(logits);
      first.reset();
      second.append(tokens);
      assertThat(last(second)).isEqualTo(logits);
    }
  }

  @Test
  void eightBitsAreAlmostFloats() {
    int[] tokens = tokens(200, SEED);
    try (Session floats = model.newSession(CacheOptions.F32);
        Session packed = model.newSession(cache("q8"))) {
      float[][] want = Rows.all(floats, tokens);
      float[][] got = Rows.all(packed, tokens);
      double error = 0;
      double norm = 0;
      for (int i = 0; i < want.length; i++) {
        for (int j = 0; j < want[i].length; j++) {
          error += Math.pow(got[i][j] - want[i][j], 2);
          norm += Math.pow(want[i][j], 2);
        }
      }
      // Not a bound: a bit lost anywhere would be worse by far.
      assertThat(Math.sqrt(error / norm)).isBetween(1e-5, 0.05);
    }
  }

  @Test
  void tellsWhatItTakesUp() {
    try (Session session = model.newSession(CacheOptions.of("q4"));
        Session floats = model.newSession()) {
      session.append(tokens(160, SEED));
      floats.append(tokens(160, SEED));
      CacheUsage usage = session.cacheUsage();
      // 5 layers, keys and values, 2 heads of 64: 4 bits, and 16 for each 32 numbers.
      assertThat(usage.bytesPerToken()).isEqualTo(5 * 2 * 2 * 64 * 9 / 16);
      assertThat(usage.codesBytes()).isEqualTo(160 * 5 * 2 * 2 * 64 / 2);
      assertThat(usage.paramsBytes()).isEqualTo(160 * 5 * 2 * 2 * 64 / 16);
      assertThat(usage.bitsKeys()).isEqualTo(4.5);
      assertThat(usage.ratioVsF16()).isEqualTo(16 / 4.5);
      assertThat(usage.totalBytes()).isGreaterThan(usage.codesBytes() + usage.paramsBytes());
      assertThat(floats.cacheUsage().codesBytes()).isEqualTo(160 * 5 * 2 * 2 * 64 * 2);
      assertThat(floats.cacheUsage().preset()).isEqualTo("f16");
    }
  }
}
