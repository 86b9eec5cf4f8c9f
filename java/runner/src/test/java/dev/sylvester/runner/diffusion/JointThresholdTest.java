package dev.sylvester.runner.diffusion;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class JointThresholdTest {
  private static final int VOCAB = 12;
  private static final int MASK = 3;
  private static final int[] PROMPT = {5, 6, 7};
  private static final int[] BLOCKS = {1, 4, 8, 16};

  private static DiffusionRequest request(Canvas canvas, int block, JointThreshold rule) {
    return DiffusionRequest.of(canvas, new SemiAutoregressive(block, canvas.length()))
        .withRule(rule);
  }

  /** Tokens and the step of each, on made-up logits that change with every token. */
  @Test
  void decodesAsThePlainLoop() {
    int edited = 0;
    int settled = 0;
    for (int i = 0; i < 3000; i++) {
      SplittableRandom random = new SplittableRandom(91_000L + i);
      int[] tokens = new int[PROMPT.length + 16];
      Arrays.fill(tokens, MASK);
      System.arraycopy(PROMPT, 0, tokens, 0, PROMPT.length);
      for (int p = PROMPT.length; p < tokens.length; p++) {
        tokens[p] = random.nextInt(6) == 0 ? random.nextInt(4, VOCAB) : MASK;
      }
      Canvas canvas = new Canvas(tokens, PROMPT.length, MASK);
      Oracle oracle = new Oracle(random.nextLong(), VOCAB, i % 3 == 0, i % 5 == 0);
      int block = BLOCKS[random.nextInt(BLOCKS.length)];
      double tau = random.nextDouble(0.3, 0.9);
      double edit = random.nextInt(3) == 0 ? 0 : random.nextDouble(0.3, 0.9);
      int most = random.nextInt(6);
      ReferenceLoops want = new ReferenceLoops(oracle::row, oracle.shifted(), MASK, tokens);
      int edits = want.joint(PROMPT.length, block, tau, edit, most);
      DiffusionResult got =
          new DiffusionDecoder(oracle, Precision.F64)
              .fill(request(canvas, block, new JointThreshold(tau, edit, most)));
      assertThat(got.tokens())
          .describedAs("case %d", i)
          .isEqualTo(Arrays.copyOfRange(want.x, PROMPT.length, tokens.length));
      assertThat(got.committedAt())
          .describedAs("case %d", i)
          .isEqualTo(Arrays.copyOfRange(want.when, PROMPT.length, tokens.length));
      assertThat(got.forwardPasses()).describedAs("case %d", i).isEqualTo(want.passes);
      assertThat(got.edits()).describedAs("case %d", i).isEqualTo(edits);
      for (int p = PROMPT.length; p < tokens.length; p++) {
        assertThat(got.tokens()[p - PROMPT.length])
            .isEqualTo(tokens[p] == MASK ? want.x[p] : tokens[p]);
      }
      edited += edits > 0 ? 1 : 0;
      settled += edits > 0 && got.committedAt()[15] < got.steps() - 1 ? 1 : 0;
    }
    assertThat(edited).isGreaterThan(1500);
    assertThat(settled).isGreaterThan(300);
  }

  /** Always sure of another token than the one that is there. */
  static Oracle fickle() {
    return new Oracle(1, VOCAB, false, false) {
      @Override
      float[] row(int[] tokens, int position) {
        float[] row = new float[VOCAB];
        row[tokens[position] == 8 ? 9 : 8] = 20;
        return row;
      }
    };
  }

  @Test
  void aModelThatNeverSettlesComesToAnEnd() {
    for (CachePolicy cache : List.of(CachePolicy.NONE, CachePolicy.PREFIX, CachePolicy.DUAL)) {
      DiffusionRequest request =
          request(Canvas.of(PROMPT, 8, MASK), 4, new JointThreshold(0.5, 0.5, 16)).withCache(cache);
      DiffusionResult result = new DiffusionDecoder(fickle()).fill(request);
      // For each block one pass that fills it, and 16 more.
      assertThat(result.forwardPasses()).isEqualTo(2 * 17);
      assertThat(result.edits()).isEqualTo(2 * 16 * 4);
      assertThat(result.tokens()).containsOnly(8);
    }
    DiffusionRequest none = request(Canvas.of(PROMPT, 8, MASK), 8, new JointThreshold(0.5, 0.5, 0));
    assertThat(new DiffusionDecoder(fickle()).fill(none).forwardPasses()).isEqualTo(1);
  }

  @Test
  void givenTokensStay() {
    List<Canvas.Constraint> given = List.of(new Canvas.Constraint(2, new int[] {8, 10}));
    DiffusionRequest request =
        request(Canvas.of(PROMPT, 4, MASK, given), 4, new JointThreshold(0.5, 0.5, 3));
    DiffusionResult result = new DiffusionDecoder(fickle()).fill(request);
    assertThat(result.tokens()).containsExactly(9, 9, 8, 10);
    assertThat(result.committedAt()).containsExactly(3, 3, -1, -1);
    // Nor does a stop that looks at them change that.
    StopRule watching = Prophet.of(AnswerRegion.at(0, 4), GapThreshold.linear(1e9, 0));
    DiffusionResult watched = new DiffusionDecoder(fickle()).fill(request.withStop(watching));
    assertThat(watched.tokens()).containsExactly(9, 9, 8, 10);
    // A window without a token that may change gets no pass of its own.
    int[] tokens = {MASK, 6, 10, 10};
    DiffusionResult prompt =
        new DiffusionDecoder(fickle())
            .fill(request(new Canvas(tokens, 2, MASK), 2, new JointThreshold(0.5, 0.5, 3)));
    assertThat(prompt.tokens()).containsExactly(10, 10);
    assertThat(prompt.forwardPasses()).isEqualTo(1);
  }

  @Test
  void reachingAThresholdIsNotEnough() {
    // Two tokens of equal probability; the lower one is proposed.
    Oracle even =
        new Oracle(1, VOCAB, false, false) {
          @Override
          float[] row(int[] tokens, int position) {
            float[] row = new float[VOCAB];
            Arrays.fill(row, Float.NEGATIVE_INFINITY);
            int token = tokens[PROMPT.length] == MASK ? 6 : 4;
            row[token] = 0;
            row[token + 1] = 0;
            return row;
          }
        };
    Canvas canvas = Canvas.of(PROMPT, 4, MASK);
    DiffusionResult at =
        new DiffusionDecoder(even).fill(request(canvas, 4, new JointThreshold(0.5, 0.5, 16)));
    assertThat(at.tokens()).containsExactly(6, 4, 4, 4);
    assertThat(at.committedAt()).containsExactly(0, 1, 2, 3);
    assertThat(at.forwardPasses()).isEqualTo(5);
    DiffusionResult above =
        new DiffusionDecoder(even).fill(request(canvas, 4, new JointThreshold(0.49, 0.49, 16)));
    assertThat(above.tokens()).containsExactly(4, 4, 4, 4);
    assertThat(above.committedAt()).containsExactly(1, 1, 1, 1);
    assertThat(above.forwardPasses()).isEqualTo(3);
  }

  /** An end that may still be replaced ends nothing. */
  @Test
  void stopsBehindTheEdits() {
    Oracle ending =
        new Oracle(1, VOCAB, false, false) {
          @Override
          float[] row(int[] tokens, int position) {
            float[] row = new float[VOCAB];
            row[position == 4 && tokens[position] == MASK ? 1 : 8] = 20;
            return row;
          }
        };
    DiffusionRequest request =
        request(Canvas.of(PROMPT, 8, MASK), 4, new JointThreshold(0.5, 0.5, 16))
            .withStop(new EosPrefix(Set.of(1)));
    DiffusionResult result = new DiffusionDecoder(ending).fill(request);
    assertThat(result.tokens()).containsOnly(8);
    assertThat(result.edits()).isEqualTo(1);
    assertThat(result.stoppedBy()).isEqualTo("none");
  }

  @Test
  void refusesWhatMakesNoSense() {
    assertThatThrownBy(() -> new JointThreshold(1.5, 0, 16))
        .hasMessageContaining("threshold and edit are 1.5 and 0.0, must be 0..1");
    assertThatThrownBy(() -> new JointThreshold(0.5, Double.NaN, 16))
        .hasMessageContaining("must be 0..1");
    assertThatThrownBy(() -> new JointThreshold(0.5, 0, -1))
        .hasMessageContaining("edit passes is -1, must not be negative");
  }
}
