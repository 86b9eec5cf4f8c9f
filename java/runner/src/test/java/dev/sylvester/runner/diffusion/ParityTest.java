package dev.sylvester.runner.diffusion;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Arrays;
import java.util.Set;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Tokens and commit steps of every position against the released loops, on made-up logits: blocks
 * of 1, 8, 32 and one block, remainders, guidance, end-token flags, shift, masks that win, ties,
 * constraints.
 */
@ParameterizedClass
@EnumSource(names = {"F64", "BF16_REF"})
class ParityTest {
  @Parameter private Precision precision;

  private static final int CASES = 10_000;
  private static final int VOCAB = 12;
  private static final int EOS = 1;
  private static final int EOT = 2;
  private static final int MASK = 3;
  private static final int[] LENGTHS = {8, 16, 24, 32};

  private int masksLeft;
  private int stopped;
  private int stuck;

  @Test
  void decodesAsTheReleasedLoops() {
    for (int i = 0; i < CASES; i++) {
      SplittableRandom random = new SplittableRandom(7_000_000L + i);
      switch (i % 4) {
        case 0, 1 -> llada(random, "case " + i);
        case 2 -> dream(random, "case " + i);
        default -> fast(random, "case " + i);
      }
    }
    // The cases are those they claim to be.
    assertThat(masksLeft).isGreaterThan(100);
    assertThat(stopped).isGreaterThan(100);
    assertThat(stuck).isGreaterThan(10);
  }

  private static Canvas canvas(SplittableRandom random) {
    int length = LENGTHS[random.nextInt(LENGTHS.length)];
    int prompt = random.nextInt(1, 5);
    int[] tokens = new int[prompt + length];
    for (int p = 0; p < tokens.length; p++) {
      boolean given = p < prompt ? random.nextInt(12) > 0 : random.nextInt(16) == 0;
      tokens[p] = given ? random.nextInt(4, VOCAB) : MASK;
    }
    tokens[tokens.length - 1 - random.nextInt(length)] = MASK;
    return new Canvas(tokens, prompt, MASK);
  }

  private static int block(SplittableRandom random, int length) {
    int[] blocks = {1, 8, 32, length};
    int block = blocks[random.nextInt(blocks.length)];
    return length % block == 0 ? block : length;
  }

  private static Oracle oracle(SplittableRandom random, boolean shifted) {
    return new Oracle(random.nextLong(), VOCAB, shifted, random.nextInt(3) == 0);
  }

  private ReferenceLoops reference(Oracle oracle, Canvas canvas) {
    return new ReferenceLoops(
        oracle::row,
        oracle.shifted(),
        MASK,
        canvas.tokens(),
        value -> precision == Precision.F64 ? value : ReferenceLoops.toBfloat16(value));
  }

  /** The same numbers as the decoding has. */
  private static ReferenceLoops.Uniforms uniforms(DiffusionRequest request) {
    return (step, position) ->
        Decoding.random(request.sampling().seed(), step, position).nextDouble();
  }

  private void llada(SplittableRandom random, String name) {
    Canvas canvas = canvas(random);
    Oracle oracle = oracle(random, random.nextInt(4) == 0);
    int block = block(random, canvas.length());
    int steps = canvas.length() / block * random.nextInt(1, block + 3);
    boolean randomly = random.nextInt(4) == 0;
    double guidance = random.nextInt(4) == 0 ? random.nextDouble(0.1, 2) : 0;
    boolean eosInf = random.nextInt(4) == 0;
    boolean confidenceInf = random.nextInt(4) == 0;
    boolean prophet = random.nextInt(3) == 0;
    int from = random.nextInt(canvas.length() - 5);
    double high = random.nextDouble(1, 4);
    DiffusionRequest request =
        DiffusionRequest.of(canvas, new SemiAutoregressive(block, steps))
            .withRule(new FixedK(randomly ? FixedK.Score.RANDOM : FixedK.Score.CONFIDENCE))
            .withStop(
                prophet
                    ? Prophet.of(
                        AnswerRegion.at(from, 5), GapThreshold.staged(high, high * 0.7, high * 0.5))
                    : StopRule.NEVER)
            .withSampling(
                Sampling.GREEDY
                    .withAllowMask(true)
                    .withSeed(random.nextLong())
                    .withGuidance(guidance)
                    .withBanned(eosInf ? Set.of(EOS) : Set.of())
                    .withDoubted(confidenceInf ? Set.of(EOS, EOT) : Set.of()));
    ReferenceLoops want = reference(oracle, canvas);
    want.llada(
        canvas.promptLength(),
        block,
        steps,
        randomly ? "random" : "low_confidence",
        guidance,
        eosInf ? EOS : -1,
        confidenceInf ? new int[] {EOS, EOT} : new int[0],
        uniforms(request),
        prophet
            ? new ReferenceLoops.ProphetCheck(
                canvas.promptLength() + from,
                canvas.promptLength() + from + 5,
                high,
                high * 0.7,
                high * 0.5)
            : null);
    compare(name, request, oracle, want);
  }

  private void dream(SplittableRandom random, String name) {
    Canvas canvas = canvas(random);
    Oracle oracle = oracle(random, true);
    int steps = random.nextInt(1, canvas.length() + 8);
    String[] algorithms = {"origin", "maskgit_plus", "topk_margin", "entropy"};
    String algorithm = algorithms[random.nextInt(algorithms.length)];
    CommitRule rule =
        switch (algorithm) {
          case "origin" -> new Origin();
          case "maskgit_plus" -> new FixedK(FixedK.Score.CONFIDENCE);
          case "topk_margin" -> new FixedK(FixedK.Score.MARGIN);
          default -> new FixedK(FixedK.Score.NEGATIVE_ENTROPY);
        };
    // On a coarse grid, rows keep other tokens with equal shares: equal but for the order of sums.
    int topK = oracle.ties() ? 0 : random.nextInt(4);
    double topP = oracle.ties() || random.nextBoolean() ? 1 : random.nextDouble(0.3, 1);
    DiffusionRequest request =
        DiffusionRequest.of(canvas, new Timesteps(1e-3, steps))
            .withRule(rule)
            .withSampling(
                Sampling.GREEDY
                    .withAllowMask(true)
                    .withTempered(true)
                    .withSeed(random.nextLong())
                    .withFilters(topK, topP));
    ReferenceLoops want = reference(oracle, canvas);
    want.dream(1e-3f, steps, algorithm, topK, topP, uniforms(request));
    compare(name + " " + algorithm, request, oracle, want);
  }

  private void fast(SplittableRandom random, String name) {
    Canvas canvas = canvas(random);
    Oracle oracle = oracle(random, random.nextBoolean());
    int block = block(random, canvas.length());
    ReferenceLoops want = reference(oracle, canvas);
    double number = random.nextDouble();
    CommitRule rule;
    boolean moves;
    switch (random.nextInt(4)) {
      case 0 -> {
        rule = new Threshold(number);
        moves =
            want.fast(
                canvas.promptLength(),
                block,
                "confidence",
                sorted -> ReferenceLoops.threshold(sorted, number));
      }
      case 1, 2 -> {
        boolean released = random.nextBoolean();
        rule = new Factor(1 + 3 * number, released);
        moves =
            want.fast(
                canvas.promptLength(),
                block,
                "confidence",
                sorted -> ReferenceLoops.factor(sorted, 1 + 3 * number, released));
      }
      default -> {
        rule = new EntropyBound(2 * number);
        moves =
            want.fast(
                canvas.promptLength(),
                block,
                "entropy",
                sorted -> ReferenceLoops.entropyBound(sorted, 2 * number));
      }
    }
    DiffusionRequest request =
        DiffusionRequest.of(canvas, new SemiAutoregressive(block, canvas.length()))
            .withRule(rule)
            .withSampling(Sampling.GREEDY.withAllowMask(true));
    if (moves) {
      compare(name + " " + rule, request, oracle, want);
    } else {
      stuck++;
      assertThatThrownBy(() -> new DiffusionDecoder(oracle, precision).fill(request))
          .describedAs(name)
          .isInstanceOf(IllegalStateException.class)
          .hasMessageContaining("has committed no token in steps");
    }
  }

  private void compare(String name, DiffusionRequest request, Oracle oracle, ReferenceLoops want) {
    DiffusionResult got = new DiffusionDecoder(oracle, precision).fill(request);
    int from = request.canvas().promptLength();
    assertThat(got.tokens())
        .describedAs(name)
        .isEqualTo(Arrays.copyOfRange(want.x, from, want.x.length));
    assertThat(got.committedAt())
        .describedAs(name)
        .isEqualTo(Arrays.copyOfRange(want.when, from, want.x.length));
    assertThat(got.forwardPasses()).describedAs(name).isEqualTo(want.passes);
    assertThat(got.stopStep()).describedAs(name).isEqualTo(want.stopStep);
    masksLeft += Arrays.stream(got.tokens()).anyMatch(t -> t == MASK) ? 1 : 0;
    stopped += got.stopStep() >= 0 ? 1 : 0;
  }
}
