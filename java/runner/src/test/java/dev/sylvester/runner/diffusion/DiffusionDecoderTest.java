package dev.sylvester.runner.diffusion;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class DiffusionDecoderTest {
  private static final int VOCAB = 12;
  private static final int MASK = 3;
  private static final int[] PROMPT = {5, 6, 7};

  private static Canvas canvas(int length) {
    return Canvas.of(PROMPT, length, MASK);
  }

  private static List<CachePolicy> caches() {
    return List.of(CachePolicy.NONE, CachePolicy.PREFIX, CachePolicy.DUAL, new DelayedKv(3));
  }

  private static Oracle oracle(boolean shifted) {
    return new Oracle(11, VOCAB, shifted, false);
  }

  /** Logits that favour one token of a text by a margin that grows to the left. */
  private static Oracle writing(int... text) {
    return new Oracle(1, VOCAB, false, false) {
      @Override
      float[] row(int[] tokens, int position) {
        float[] row = new float[VOCAB];
        row[position < PROMPT.length ? 0 : text[position - PROMPT.length]] =
            2 + 0.1f * (tokens.length - position);
        return row;
      }
    };
  }

  @Test
  void readsWhatThePolicySays() {
    Oracle oracle = oracle(false);
    DiffusionRequest request = DiffusionRequest.of(canvas(8), new SemiAutoregressive(4, 4));
    new DiffusionDecoder(oracle).fill(request.withCache(CachePolicy.PREFIX));
    assertThat(oracle.spans)
        .containsExactly(
            new int[] {0, 0, 11}, new int[] {0, 3, 11}, new int[] {0, 0, 11}, new int[] {0, 7, 11});
    oracle.spans.clear();
    new DiffusionDecoder(oracle).fill(request.withCache(CachePolicy.DUAL));
    assertThat(oracle.spans)
        .containsExactly(
            new int[] {0, 0, 11}, new int[] {0, 3, 7}, new int[] {0, 0, 11}, new int[] {0, 7, 11});
    oracle.spans.clear();
    DiffusionResult none = new DiffusionDecoder(oracle).fill(request);
    assertThat(oracle.spans).hasSize(4).allSatisfy(s -> assertThat(s).containsExactly(0, 0, 11));
    assertThat(none.rowsComputed()).isEqualTo(44);
    // Unknown rows of the window only: 4 + 2, twice.
    assertThat(none.rowsPredicted()).isEqualTo(12);
    // A shifted model predicts the window's first position in the row before it.
    Oracle shifted = oracle(true);
    new DiffusionDecoder(shifted).fill(request.withCache(CachePolicy.DUAL));
    assertThat(shifted.spans.get(1)).containsExactly(0, 2, 7);
  }

  @Test
  void keepsKnownTokensOneStepLate() {
    Oracle oracle = writing(4, 5, 6, 7, 8);
    DiffusionRequest request =
        DiffusionRequest.of(canvas(5), new SemiAutoregressive(5, 5)).withCache(new DelayedKv(4));
    new DiffusionDecoder(oracle).fill(request);
    // The prompt is known in the first pass, the token of step 0 in the second.
    assertThat(oracle.spans)
        .containsExactly(
            new int[] {0, 0, 8},
            new int[] {0, 3, 8},
            new int[] {0, 4, 8},
            new int[] {0, 5, 8},
            new int[] {0, 0, 8});
    // A row that predicted a token of step 0 is kept with it.
    Oracle shifted =
        new Oracle(1, VOCAB, true, false) {
          @Override
          float[] row(int[] tokens, int position) {
            float[] row = new float[VOCAB];
            row[4] = tokens.length - position;
            return row;
          }
        };
    new DiffusionDecoder(shifted).fill(request);
    assertThat(shifted.spans.subList(1, 4))
        .containsExactly(new int[] {0, 2, 8}, new int[] {0, 3, 8}, new int[] {0, 4, 8});
    // Replaced tokens are read again.
    Oracle fickle = JointThresholdTest.fickle();
    new DiffusionDecoder(fickle).fill(request.withRule(new JointThreshold(0.5, 0.5, 3)));
    assertThat(fickle.spans)
        .containsExactly(
            new int[] {0, 0, 8}, new int[] {0, 3, 8}, new int[] {0, 3, 8}, new int[] {0, 3, 8});
  }

  @Test
  void readsTheAnswerRegionToo() {
    Oracle oracle = oracle(false);
    DiffusionRequest request =
        DiffusionRequest.of(canvas(8), new SemiAutoregressive(4, 8))
            .withCache(CachePolicy.DUAL)
            .withStop(Prophet.of(AnswerRegion.at(6, 2), GapThreshold.linear(1e9, 0)));
    DiffusionResult result = new DiffusionDecoder(oracle).fill(request);
    assertThat(oracle.spans.get(1)).containsExactly(0, 3, 7);
    assertThat(oracle.spans.get(2)).containsExactly(0, 9, 11);
    assertThat(result.stoppedBy()).isEqualTo("none");
  }

  @ParameterizedTest
  @MethodSource("caches")
  void prophetFillsTheWholeCanvas(CachePolicy cache) {
    int[] text = {4, 5, 6, 7, 8, 9, 10, 11};
    DiffusionRequest request =
        DiffusionRequest.of(canvas(8), new SemiAutoregressive(4, 8))
            .withCache(cache)
            // The rows say 2.1 to 2.2 there: between the first two stages' thresholds.
            .withStop(Prophet.of(AnswerRegion.at(6, 2), GapThreshold.staged(3, 2.1, 1)));
    DiffusionResult result = new DiffusionDecoder(writing(text)).fill(request);
    assertThat(result.tokens()).isEqualTo(text);
    assertThat(result.committedAt()).containsExactly(0, 1, 2, 3, 3, 3, 3, 3);
    assertThat(result.stopStep()).isEqualTo(3);
    assertThat(result.steps()).isEqualTo(4);
    assertThat(result.stoppedBy()).isEqualTo("prophet");
    // The dual cache does not have the rows behind the window.
    assertThat(result.forwardPasses()).isEqualTo(cache == CachePolicy.DUAL ? 5 : 4);
  }

  @Test
  void prophetFindsTheAnswer() {
    int[] text = {4, 5, 6, 7, 8, 9, 1, 1};
    DiffusionRequest request = DiffusionRequest.of(canvas(8), new SemiAutoregressive(8, 8));
    GapThreshold sure = GapThreshold.linear(2.24, 0);
    // 9 and 1 behind 7, 8: gaps 2.3 and 2.2.
    AnswerRegion behind = AnswerRegion.behind(new int[] {7, 8}, 2);
    DiffusionResult found =
        new DiffusionDecoder(writing(text)).fill(request.withStop(Prophet.of(behind, sure)));
    assertThat(found.stopStep()).isZero();
    AnswerRegion elsewhere = AnswerRegion.behind(new int[] {8, 7}, 2);
    DiffusionResult missed =
        new DiffusionDecoder(writing(text)).fill(request.withStop(Prophet.of(elsewhere, sure)));
    assertThat(missed.stoppedBy()).isEqualTo("none");
    // From the first unknown to the first end, gaps of 2.8 to 2.2, on average 2.5.
    DiffusionResult rest =
        new DiffusionDecoder(writing(text))
            .fill(
                request.withStop(
                    Prophet.of(AnswerRegion.rest(Set.of(1)), GapThreshold.linear(2.49, 0))));
    assertThat(rest.stopStep()).isZero();
    // The mean of all is 2.45, and the threshold's at half the way, too.
    DiffusionResult sched =
        new DiffusionDecoder(writing(text)).fill(request.withStop(Prophet.sched(2.92, 2)));
    assertThat(sched.stoppedBy()).isEqualTo("sched");
    assertThat(sched.stopStep()).isEqualTo(5);
  }

  @Test
  void stopsAtTheEnd() {
    int[] text = {4, 5, 1, 7, 8, 9, 10, 11};
    DiffusionRequest request =
        DiffusionRequest.of(canvas(8), new SemiAutoregressive(8, 8))
            .withStop(new EosPrefix(Set.of(1)));
    DiffusionResult result = new DiffusionDecoder(writing(text)).fill(request);
    assertThat(result.tokens()).containsExactly(4, 5, 1, 1, 1, 1, 1, 1);
    assertThat(result.forwardPasses()).isEqualTo(3);
    assertThat(result.stoppedBy()).isEqualTo("eos");
    assertThat(result.committedAt()).containsExactly(0, 1, 2, 2, 2, 2, 2, 2);
  }

  @Test
  void leavesWhatIsGiven() {
    Canvas canvas =
        Canvas.of(PROMPT, 8, MASK, List.of(new Canvas.Constraint(5, new int[] {9, 10})));
    DiffusionResult result =
        new DiffusionDecoder(oracle(false))
            .fill(DiffusionRequest.of(canvas, new SemiAutoregressive(4, 4)));
    assertThat(Arrays.copyOfRange(result.tokens(), 5, 7)).containsExactly(9, 10);
    assertThat(result.committedAt()[5]).isEqualTo(-1);
    assertThat(result.tokens()).doesNotContain(MASK);
  }

  @Test
  void canvasesDoNotSeeEachOther() {
    List<DiffusionRequest> requests = new ArrayList<>();
    for (int i = 0; i < 6; i++) {
      requests.add(
          DiffusionRequest.of(canvas(4 + 4 * i), new SemiAutoregressive(4, 4 + 4 * i))
              .withCache(caches().get(i % 4))
              .withRule(i % 2 == 0 ? new Threshold(0.6) : new FixedK(FixedK.Score.MARGIN))
              .withStop(
                  i % 3 == 2
                      ? Prophet.of(AnswerRegion.at(0, 2), GapThreshold.linear(2, 1))
                      : StopRule.NEVER)
              .withSampling(Sampling.GREEDY.withGuidance(i == 4 ? 0.5 : 0).withSeed(i)));
    }
    List<DiffusionResult> together =
        new DiffusionDecoder(oracle(true)).fill(requests, results -> false);
    for (int i = 0; i < requests.size(); i++) {
      DiffusionResult alone = new DiffusionDecoder(oracle(true)).fill(requests.get(i));
      assertThat(together.get(i).tokens()).isEqualTo(alone.tokens());
      assertThat(together.get(i).committedAt()).isEqualTo(alone.committedAt());
      assertThat(together.get(i).rowsComputed()).isEqualTo(alone.rowsComputed());
      assertThat(together.get(i).forwardPasses()).isEqualTo(alone.forwardPasses());
    }
  }

  @Test
  void takesBackWhatItDoubts() {
    // Sure of 4 everywhere but at the end; of 5 at the first position once the second is known.
    Denoiser changing =
        new Oracle(1, VOCAB, false, false) {
          @Override
          float[] row(int[] tokens, int position) {
            boolean late = tokens[PROMPT.length + 1] != MASK;
            float[] row = new float[VOCAB];
            row[late && position == PROMPT.length ? 5 : 4] = position < tokens.length - 1 ? 9 : 3;
            return row;
          }
        };
    DiffusionRequest request = DiffusionRequest.of(canvas(5), new SemiAutoregressive(5, 5));
    DiffusionResult kept =
        new DiffusionDecoder(changing).fill(request.withRule(new Threshold(0.9)));
    assertThat(kept.tokens()).containsExactly(4, 4, 4, 4, 4);
    assertThat(kept.committedAt()).containsExactly(0, 0, 0, 0, 1);
    DiffusionResult revised =
        new DiffusionDecoder(changing).fill(request.withRule(new Wino(0.9, 0.1)));
    assertThat(revised.tokens()).containsExactly(5, 4, 4, 4, 4);
    assertThat(revised.committedAt()).containsExactly(2, 0, 0, 0, 1);
  }

  @Test
  void reachingAThresholdIsEnough() {
    // Two tokens of equal probability.
    Denoiser even =
        new Oracle(1, VOCAB, false, false) {
          @Override
          float[] row(int[] tokens, int position) {
            float[] row = new float[VOCAB];
            Arrays.fill(row, Float.NEGATIVE_INFINITY);
            row[4] = 0;
            row[5] = 0;
            return row;
          }
        };
    DiffusionRequest request = DiffusionRequest.of(canvas(4), new SemiAutoregressive(4, 4));
    DiffusionResult at = new DiffusionDecoder(even).fill(request.withRule(new Threshold(0.5)));
    assertThat(at.committedAt()).containsExactly(0, 0, 0, 0);
    DiffusionResult above =
        new DiffusionDecoder(even).fill(request.withRule(new Threshold(0.500001)));
    assertThat(above.committedAt()).containsExactly(0, 1, 2, 3);
  }

  @Test
  void leapsNearAnchors() {
    // Confidences 0.95, 0.8, 0.8, 0.5, 0.8 of two tokens.
    double[] confidences = {0.95, 0.8, 0.8, 0.5, 0.8};
    Denoiser given =
        new Oracle(1, VOCAB, false, false) {
          @Override
          float[] row(int[] tokens, int position) {
            float[] row = new float[VOCAB];
            Arrays.fill(row, Float.NEGATIVE_INFINITY);
            int i = Math.max(0, position - PROMPT.length);
            row[4] = (float) Math.log(confidences[i]);
            row[5] = (float) Math.log(1 - confidences[i]);
            return row;
          }
        };
    DiffusionRequest request = DiffusionRequest.of(canvas(5), new SemiAutoregressive(5, 5));
    DiffusionResult near =
        new DiffusionDecoder(given).fill(request.withRule(new LocalLeap(0.9, 0.75, 2)));
    assertThat(near.committedAt()).containsExactly(0, 0, 0, 2, 1);
    DiffusionResult nearer =
        new DiffusionDecoder(given).fill(request.withRule(new LocalLeap(0.9, 0.75, 1)));
    assertThat(nearer.committedAt()).containsExactly(0, 0, 1, 3, 2);
  }

  @Test
  void refusesWhatDoesNotFit() {
    Canvas canvas = canvas(8);
    assertFails(
        "block is 3, must divide the generation length 8",
        () -> DiffusionRequest.of(canvas, new SemiAutoregressive(3, 8)));
    assertFails(
        "steps is 5, must be a multiple of the 2 blocks",
        () -> DiffusionRequest.of(canvas, new SemiAutoregressive(4, 5)));
    assertFails("block is 0", () -> new SemiAutoregressive(0, 8));
    assertFails("steps is 0", () -> new SemiAutoregressive(8, 0));
    assertFails("eps is 1.0", () -> new Timesteps(1, 8));
    assertFails("the model has no mask token", () -> Canvas.of(PROMPT, 8, -1));
    assertFails("generation length is 0", () -> Canvas.of(PROMPT, 0, MASK));
    assertFails(
        "a constraint is at 7..8, the generated part at 0..7",
        () -> Canvas.of(PROMPT, 8, MASK, List.of(new Canvas.Constraint(7, new int[2]))));
    DiffusionRequest request = DiffusionRequest.of(canvas, new SemiAutoregressive(8, 8));
    GapThreshold threshold = GapThreshold.linear(1, 0);
    assertFails(
        "the answer region is at 6..10, the generated part at 0..7",
        () -> request.withStop(Prophet.of(AnswerRegion.at(6, 5), threshold)));
    assertFails(
        "do not fit the 8",
        () -> request.withStop(Prophet.of(AnswerRegion.behind(new int[4], 5), threshold)));
    assertFails("threshold is 1.5", () -> new Threshold(1.5));
    assertFails("interval is 0, must be at least 1", () -> new DelayedKv(0));
    assertFails("factor is 0.0", () -> new Factor(0));
    assertFails("entropy bound is -1.0", () -> new EntropyBound(-1));
    assertFails("anchor and relaxed", () -> new LocalLeap(0.5, 0.7, 1));
    assertFails("no end token", () -> new EosPrefix(Set.of()));
    assertFails("temperature is NaN", () -> Sampling.GREEDY.withTemperature(Double.NaN));
    assertFails("guidance is -1.0", () -> Sampling.GREEDY.withGuidance(-1));
    assertFails("top-k is -1", () -> Sampling.GREEDY.withFilters(-1, 1));
    assertFails("top-p is 0.0", () -> Sampling.GREEDY.withFilters(0, 0));
    assertFails(
        "top-k 2 and top-p 1.0: it needs probabilities of all tokens",
        () -> request.withRule(new Wino(0.6, 0.9)).withSampling(Sampling.GREEDY.withFilters(2, 1)));
    Canvas holes = new Canvas(new int[] {5, MASK, MASK, MASK}, 2, MASK);
    assertFails(
        "cache is dual, must be none for a prompt with unknown tokens",
        () -> DiffusionRequest.of(holes, new SemiAutoregressive(2, 2)).withCache(CachePolicy.DUAL));
    assertFails(
        "token is 12, must be 0..11",
        () ->
            new DiffusionDecoder(oracle(false))
                .fill(request.withSampling(Sampling.GREEDY.withBanned(Set.of(VOCAB)))));
  }

  private static void assertFails(String message, ThrowingCallable call) {
    assertThatThrownBy(call)
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(message);
  }

  @Test
  void aRuleThatCommitsNothingIsAnError() {
    DiffusionRequest request =
        DiffusionRequest.of(canvas(8), new SemiAutoregressive(8, 8))
            .withRule(
                new CommitRule() {
                  @Override
                  public void select(Predictions predictions, Decoding decoding, Picks picks) {}

                  @Override
                  public String toString() {
                    return "Lazy";
                  }
                });
    assertThatThrownBy(() -> new DiffusionDecoder(oracle(false)).fill(request))
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("Lazy has committed no token in steps 0 and 1");
  }

  @Test
  void logitsThatAreNoNumbersAreAnError() {
    Denoiser broken =
        new Oracle(1, VOCAB, false, false) {
          @Override
          float[] row(int[] tokens, int position) {
            float[] row = new float[VOCAB];
            row[5] = position == 6 && tokens[PROMPT.length] != MASK ? Float.NaN : 10 - position;
            return row;
          }
        };
    DiffusionRequest request = DiffusionRequest.of(canvas(8), new SemiAutoregressive(8, 8));
    assertThatThrownBy(() -> new DiffusionDecoder(broken).fill(request))
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("the logits of position 6 are not finite in step 1");
  }
}
