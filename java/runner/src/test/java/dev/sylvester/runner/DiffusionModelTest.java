package dev.sylvester.runner;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.sylvester.kernels.LogitsOptions;
import dev.sylvester.kernels.LogitsStats;
import dev.sylvester.runner.diffusion.AnswerRegion;
import dev.sylvester.runner.diffusion.CachePolicy;
import dev.sylvester.runner.diffusion.Canvas;
import dev.sylvester.runner.diffusion.DelayedKv;
import dev.sylvester.runner.diffusion.Denoiser;
import dev.sylvester.runner.diffusion.DiffusionDecoder;
import dev.sylvester.runner.diffusion.DiffusionRequest;
import dev.sylvester.runner.diffusion.DiffusionResult;
import dev.sylvester.runner.diffusion.GapThreshold;
import dev.sylvester.runner.diffusion.Pass;
import dev.sylvester.runner.diffusion.Prophet;
import dev.sylvester.runner.diffusion.Sampling;
import dev.sylvester.runner.diffusion.SemiAutoregressive;
import dev.sylvester.runner.diffusion.Threshold;
import dev.sylvester.runner.diffusion.Wino;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** The embedded diffusion model. */
class DiffusionModelTest {
  private static final String QUESTION =
      "Iris has 32 kites. Iris buys 4 more. How many kites does Iris have now?";

  private static Model model;
  private static int[] prompt;

  @BeforeAll
  static void load() {
    model = Model.load("gsm-mini-diffusion", ModelOptions.defaults().withThreads(2));
    prompt = model.tokenizer().encode(QUESTION, true);
  }

  @AfterAll
  static void close() {
    model.close();
  }

  private static Canvas canvas(int length) {
    return Canvas.of(prompt, length, model.config().maskId());
  }

  private static DiffusionResult fill(DiffusionRequest request) {
    try (Denoiser denoiser = model.newDenoiser()) {
      return new DiffusionDecoder(denoiser).fill(request);
    }
  }

  /** The whole canvas in a session, the best unknown position of the block, one at a time. */
  @Test
  void fillsAsAPlainLoopOverWholeCanvases() {
    int mask = model.config().maskId();
    int[] tokens = canvas(16).tokens().clone();
    int[] when = new int[tokens.length];
    try (Session session = model.newSession()) {
      for (int step = 0; step < 16; step++) {
        session.reset();
        float[][] rows = Rows.all(session, tokens);
        int best = -1;
        int token = -1;
        double most = -1;
        int block = prompt.length + step / 8 * 8;
        for (int p = block; p < block + 8; p++) {
          if (tokens[p] != mask) {
            continue;
          }
          float[] row = rows[p - 1];
          row[mask] = Float.NEGATIVE_INFINITY;
          int argmax = 0;
          for (int v = 1; v < row.length; v++) {
            argmax = row[v] > row[argmax] ? v : argmax;
          }
          double sum = 0;
          for (float z : row) {
            sum += Math.exp(z - row[argmax]);
          }
          if (1 / sum > most) {
            most = 1 / sum;
            best = p;
            token = argmax;
          }
        }
        tokens[best] = token;
        when[best] = step;
      }
    }
    DiffusionResult got = fill(DiffusionRequest.of(canvas(16), new SemiAutoregressive(8, 16)));
    assertThat(got.tokens()).isEqualTo(Arrays.copyOfRange(tokens, prompt.length, tokens.length));
    assertThat(got.committedAt()).isEqualTo(Arrays.copyOfRange(when, prompt.length, tokens.length));
  }

  private static float[] logits(Denoiser denoiser, int canvas, int row) {
    MemorySegment values = denoiser.logits(new int[] {canvas}, new int[] {row}, 1);
    return values.asSlice(0, 4L * denoiser.vocabSize()).toArray(ValueLayout.JAVA_FLOAT);
  }

  /** Keys and values of before are as good as new ones while nothing has changed. */
  @Test
  void aSpanSeesTheWholeCanvas() {
    int[] tokens = canvas(16).tokens();
    int[] other = tokens.clone();
    other[2]++;
    int row = prompt.length + 3;
    try (Denoiser denoiser = model.newDenoiser()) {
      denoiser.reserve(2, tokens.length, tokens.length);
      Pass pass = new Pass();
      pass.add(0, tokens, 0, tokens.length);
      denoiser.read(pass);
      float[] whole = logits(denoiser, 0, row);
      pass.clear();
      pass.add(1, other, 0, tokens.length);
      pass.add(0, tokens, 0, 4);
      pass.add(0, tokens, row - 1, row + 2);
      denoiser.read(pass);
      assertThat(logits(denoiser, 0, row)).isEqualTo(whole);
      assertThat(logits(denoiser, 1, row)).isNotEqualTo(whole);
      assertThatThrownBy(() -> logits(denoiser, 0, row + 2))
          .hasMessageContaining("position %d of text 0 is not in the last pass".formatted(row + 2));
      // Without its first token's keys and values, of the other text, it is another one.
      int[] changed = tokens.clone();
      changed[row] = 20;
      pass.clear();
      pass.add(0, changed, row, row + 1);
      denoiser.read(pass);
      float[] stale = logits(denoiser, 0, row);
      pass.clear();
      pass.add(0, changed, 0, tokens.length);
      denoiser.read(pass);
      assertThat(logits(denoiser, 0, row)).isNotEqualTo(stale);
    }
  }

  /** Counts the passes whose logits were not stored, or has all of them stored. */
  private record Watched(Denoiser model, boolean stores, int[] unstored) implements Denoiser {
    @Override
    public int vocabSize() {
      return model.vocabSize();
    }

    @Override
    public boolean shifted() {
      return model.shifted();
    }

    @Override
    public void reserve(int canvases, int length, int tail) {
      model.reserve(canvases, length, tail);
    }

    @Override
    public void copy(int from, int to) {
      model.copy(from, to);
    }

    @Override
    public void read(Pass pass) {
      model.read(pass);
    }

    @Override
    public MemorySegment logits(int[] canvases, int[] rows, int count) {
      return model.logits(canvases, rows, count);
    }

    @Override
    public boolean statistics(
        int[] canvases,
        int[] rows,
        int count,
        boolean guided,
        LogitsOptions options,
        MemorySegment streams,
        LogitsStats stats) {
      boolean known =
          !stores && model.statistics(canvases, rows, count, guided, options, streams, stats);
      unstored[0] += known ? 1 : 0;
      return known;
    }
  }

  @Test
  void logitsThatAreNotStoredGiveTheSameText() {
    DiffusionRequest plain = DiffusionRequest.of(canvas(16), new SemiAutoregressive(8, 8));
    Sampling drawn = Sampling.GREEDY.withTemperature(0.9).withTempered(true).withSeed(5);
    List<DiffusionRequest> stored =
        List.of(
            plain.withRule(new Wino(0.6, 0.9)), plain.withSampling(drawn.withFilters(20, 0.95)));
    List<DiffusionRequest> unstored =
        List.of(
            plain,
            plain.withSampling(drawn),
            plain.withSampling(drawn.withGuidance(0.5)).withRule(new Threshold(0.7)),
            plain.withStop(
                Prophet.of(AnswerRegion.rest(model.endTokens()), GapThreshold.linear(9, 4))));
    try (Denoiser denoiser = model.newDenoiser()) {
      for (DiffusionRequest request : Stream.concat(stored.stream(), unstored.stream()).toList()) {
        int[] without = {0};
        DiffusionResult got =
            new DiffusionDecoder(new Watched(denoiser, false, without)).fill(request);
        DiffusionResult want =
            new DiffusionDecoder(new Watched(denoiser, true, new int[1])).fill(request);
        assertThat(got.tokens()).isEqualTo(want.tokens());
        assertThat(got.committedAt()).isEqualTo(want.committedAt());
        assertThat(got.stopStep()).isEqualTo(want.stopStep());
        assertThat(without[0] > 0).isEqualTo(unstored.contains(request));
      }
    }
  }

  @Test
  void canvasesTogetherAreTheSameAsAlone() {
    List<DiffusionRequest> requests =
        List.of(
            DiffusionRequest.of(canvas(16), new SemiAutoregressive(8, 8)),
            DiffusionRequest.of(canvas(16), new SemiAutoregressive(16, 8))
                .withCache(CachePolicy.DUAL),
            DiffusionRequest.of(canvas(8), new SemiAutoregressive(4, 4))
                .withRule(new Threshold(0.7))
                .withCache(CachePolicy.PREFIX));
    try (Denoiser denoiser = model.newDenoiser()) {
      List<DiffusionResult> together =
          new DiffusionDecoder(denoiser).fill(requests, results -> false);
      for (int i = 0; i < requests.size(); i++) {
        DiffusionResult alone = fill(requests.get(i));
        assertThat(together.get(i).tokens()).isEqualTo(alone.tokens());
        assertThat(together.get(i).committedAt()).isEqualTo(alone.committedAt());
      }
    }
  }

  private static DiffusionResult fill(DiffusionRequest request, String kv) {
    try (Denoiser denoiser = model.newDenoiser(CacheOptions.of(kv))) {
      return new DiffusionDecoder(denoiser).fill(request);
    }
  }

  /** Eight bits change logits by less than their distances here. */
  @Test
  void aPackedPrefixGivesTheSameText() {
    DiffusionRequest request =
        DiffusionRequest.of(canvas(32), new SemiAutoregressive(8, 32))
            .withCache(CachePolicy.PREFIX);
    List<DiffusionRequest> requests =
        List.of(
            request,
            request.withRule(new Threshold(0.9)),
            request.withCache(CachePolicy.NONE),
            request.withSampling(Sampling.GREEDY.withGuidance(0.5)));
    for (DiffusionRequest each : requests) {
      DiffusionResult want = fill(each);
      for (String kv : List.of("q8", "best")) {
        DiffusionResult got = fill(each, kv);
        assertThat(got.rowsComputed()).isEqualTo(want.rowsComputed());
        if (kv.equals("q8")) {
          assertThat(got.tokens()).isEqualTo(want.tokens());
          assertThat(got.committedAt()).isEqualTo(want.committedAt());
        }
        assertThat(model.tokenizer().decode(got.tokens(), true)).contains("#### 36");
      }
    }
  }

  /** Prophet also looks before the block: what is behind that is computed then. */
  @Test
  void aPackedPrefixEndsBeforeWhatIsLookedAt() {
    Prophet watching = Prophet.of(AnswerRegion.at(2, 3), GapThreshold.linear(9, 4));
    DiffusionRequest request =
        DiffusionRequest.of(canvas(32), new SemiAutoregressive(8, 32))
            .withCache(CachePolicy.PREFIX)
            .withStop(watching);
    DiffusionResult floats = fill(request);
    DiffusionResult packed = fill(request, "q8");
    assertThat(packed.tokens()).isEqualTo(floats.tokens());
    assertThat(packed.rowsComputed()).isGreaterThanOrEqualTo(floats.rowsComputed());
  }

  @Test
  void packedCanvasesTogetherAreTheSameAsAlone() {
    DiffusionRequest request =
        DiffusionRequest.of(canvas(24), new SemiAutoregressive(8, 12))
            .withCache(CachePolicy.PREFIX);
    int[] other = prompt.clone();
    other[3]++;
    List<DiffusionRequest> requests =
        List.of(
            request,
            request.withRule(new Threshold(0.7)),
            DiffusionRequest.of(
                    Canvas.of(other, 40, model.config().maskId()), new SemiAutoregressive(20, 10))
                .withCache(CachePolicy.PREFIX));
    try (Denoiser denoiser = model.newDenoiser(CacheOptions.of("best"))) {
      DiffusionDecoder decoder = new DiffusionDecoder(denoiser);
      for (int round = 0; round < 2; round++) {
        List<DiffusionResult> together = decoder.fill(requests, results -> false);
        for (int i = 0; i < requests.size(); i++) {
          DiffusionResult alone = fill(requests.get(i), "best");
          assertThat(together.get(i).committedAt()).isEqualTo(alone.committedAt());
          assertThat(together.get(i).tokens()).isEqualTo(alone.tokens());
        }
      }
    }
  }

  @Test
  void refusesCachesThatCannotBePacked() {
    DiffusionRequest request = DiffusionRequest.of(canvas(16), new SemiAutoregressive(8, 8));
    for (CachePolicy cache : List.of(CachePolicy.DUAL, new DelayedKv(4))) {
      assertThatThrownBy(() -> fill(request.withCache(cache), "q8"))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("cache is %s, must be none or prefix".formatted(cache));
    }
    assertThatThrownBy(() -> model.newDenoiser(CacheOptions.AUTO))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("is bidirectional: auto would");
    assertThatThrownBy(() -> model.newSession(CacheOptions.AUTO)).hasMessageContaining("auto");
  }

  /** A whole text at once; what leaves the window is read packed. */
  @Test
  void aSessionCanBePacked() {
    int[] tokens = canvas(32).tokens();
    float[] floats;
    try (Session session = model.newSession()) {
      session.append(tokens);
      floats = Rows.of(session.logits());
    }
    for (String kv : List.of("q8", "best")) {
      try (Session session = model.newSession(CacheOptions.of(kv))) {
        session.append(tokens);
        float[] got = Rows.of(session.logits());
        double error = 0;
        double norm = 0;
        for (int i = 0; i < got.length; i++) {
          error += Math.pow(got[i] - floats[i], 2);
          norm += Math.pow(floats[i], 2);
        }
        // Eight bits of a number in groups of 32 have an error of half a percent, two of a third.
        assertThat(Math.sqrt(error / norm)).isBetween(1e-6, kv.equals("q8") ? 0.01 : 0.3);
      }
    }
  }

  @Test
  void refusesWhatItCannotRead() {
    try (Model causal = Model.load("gsm-mini", ModelOptions.defaults())) {
      assertThatThrownBy(causal::newDenoiser).hasMessageContaining("is no diffusion model");
    }
    DiffusionRequest request = DiffusionRequest.of(canvas(512), new SemiAutoregressive(512, 512));
    assertThatThrownBy(() -> fill(request))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("the context holds 512");
  }
}
