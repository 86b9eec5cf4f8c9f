package dev.sylvester.runner.layers;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.sylvester.kernels.KvOptions;
import dev.sylvester.kernels.KvPlan;
import dev.sylvester.kernels.ThreadPool;
import dev.sylvester.runner.PlainDiffusionModel;
import dev.sylvester.runner.diffusion.Pass;
import dev.sylvester.runner.format.ModelFile;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Canvases whose beginning is packed, against plain loops that quantise it by themselves. */
class PackedCanvasTest {
  private static final int VOCAB = 264;
  private static final int MASK = 263;
  private static final int PROMPT = 70;
  private static final int LENGTH = 100;
  private static final int TAIL = LENGTH - PROMPT + 1;
  private static final int WINDOW = 32;
  private static final int LEVELS = 15;
  private static final double ZERO_UNIT = 16 / 64.0;

  /**
   * Of what packing changes in logits. Attention rounds queries and weights to integers of 14 and
   * 12 bits, so that keys and values of the second layer are a thousandth off and one of a hundred
   * codes is its neighbour; a tenth of the change, as squares add up.
   */
  private static final double TOLERANCE = 0.3;

  /** Four bits for a head, as native/common/kv_plan.h has it. */
  private static double[] packed(double[] head) {
    double[] x =
        Arrays.stream(head)
            .map(v -> Float.float16ToFloat(Float.floatToFloat16((float) v)))
            .toArray();
    double low = Arrays.stream(x).min().getAsDouble();
    double high = Arrays.stream(x).max().getAsDouble();
    double most = Math.max(Math.abs(low), Math.abs(high));
    double scale = scale(Math.max((high - low) / LEVELS, most / (119 * ZERO_UNIT)));
    double zero = Math.clamp(Math.rint(-low / scale / ZERO_UNIT), -128, 127) * ZERO_UNIT;
    return Arrays.stream(x)
        .map(v -> scale * (Math.clamp(Math.rint(v / scale + zero), 0, LEVELS) - zero))
        .toArray();
  }

  /** Three bits of fraction. */
  private static double scale(double x) {
    double unit = Math.scalb(1.0, Math.getExponent(x) - 3);
    return Math.rint(x / unit) * unit;
  }

  private static KvOptions options(boolean window, boolean preRope) {
    return KvOptions.preset("q4").withWindow(window ? WINDOW : 0).withPreRope(preRope);
  }

  /** Tokens of so many that are packed for a query behind them. */
  private static int packedOf(boolean window, int tokens) {
    return window ? 16 * Math.max(0, tokens / 16 - WINDOW / 16 + 1) : LENGTH;
  }

  private static int[] canvas(int seed) {
    Random random = new Random(seed);
    return IntStream.range(0, LENGTH)
        .map(p -> p < PROMPT || random.nextBoolean() ? random.nextInt(3, MASK) : MASK)
        .toArray();
  }

  /** Everything, then the end with other tokens, twice, from two places, then everything again. */
  @ParameterizedTest
  @CsvSource({"dream,true,false", "llada,true,false", "dream,false,false", "llada,true,true"})
  void passesAreThoseOfPlainLoops(String name, boolean window, boolean preRope) throws IOException {
    try (Opened opened = new Opened(name, options(window, preRope))) {
      var plain = new PlainDiffusionModel(name, LENGTH, PackedCanvasTest::packed, preRope);
      var exact = new PlainDiffusionModel(name, LENGTH, x -> x, false);
      int[][] spans = {{0, 1}, {PROMPT - 1, 2}, {PROMPT - 1, 3}, {PROMPT + 16, 4}, {0, 5}};
      int[] tokens = canvas(0);
      for (int[] span : spans) {
        int from = span[0];
        System.arraycopy(canvas(span[1]), from, tokens, from, LENGTH - from);
        boolean[] computed = new boolean[LENGTH];
        Arrays.fill(computed, from, LENGTH, true);
        int unpacked = Math.min(TAIL, LENGTH - from);
        double[][] want = plain.forward(tokens, computed, packedOf(window, LENGTH - unpacked));
        double[][] without = exact.forward(tokens, computed, 0);
        double[][] got = opened.read(tokens, from);
        assertThat(distance(got, want, from))
            .describedAs("from %d", from)
            .isLessThan(TOLERANCE * distance(without, want, from));
      }
    }
  }

  /** The length of the difference of all logits. */
  private static double distance(double[][] a, double[][] b, int from) {
    double squares = 0;
    for (int p = from; p < LENGTH; p++) {
      for (int v = 0; v < VOCAB; v++) {
        squares += Math.pow(a[p][v] - b[p][v], 2);
      }
    }
    return Math.sqrt(squares);
  }

  @Test
  void aTextKnowsNothingOfTheOthers() {
    try (Opened opened = new Opened("dream", options(true, true).withSinks(2, 3))) {
      double[][] alone = opened.read(canvas(1), 0);
      Pass pass = new Pass();
      pass.add(1, canvas(2), 0, LENGTH);
      pass.add(0, canvas(1), 0, LENGTH);
      opened.evaluator.read(pass);
      assertThat(opened.logits(0, PROMPT)[PROMPT]).isEqualTo(alone[PROMPT]);
      assertThat(opened.logits(1, PROMPT)[PROMPT]).isNotEqualTo(alone[PROMPT]);
    }
  }

  @Test
  void refusesWhatItDoesNotKeep() {
    int[] tokens = canvas(1);
    try (Opened opened = new Opened("dream", options(true, false))) {
      assertThatThrownBy(() -> opened.read(tokens, 3))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("position 3 of text 0 is not among the last %d of the 0", TAIL);
      double[][] before = opened.read(tokens, 0);
      Pass pass = new Pass();
      pass.add(0, tokens, PROMPT, LENGTH - 1);
      assertThatThrownBy(() -> opened.evaluator.read(pass))
          .hasMessageContaining("positions 70..98 of the 100 of text 0 are not its end");
      pass.clear();
      pass.add(0, tokens, 0, LENGTH);
      pass.add(0, tokens, PROMPT, LENGTH);
      assertThatThrownBy(() -> opened.evaluator.read(pass)).hasMessageContaining("70..99");
      // None of which has changed anything.
      assertThat(opened.read(tokens, PROMPT)[PROMPT])
          .isEqualTo(opened.read(tokens, PROMPT)[PROMPT]);
      assertThatThrownBy(() -> opened.read(tokens, 16))
          .hasMessageContaining("position 16 of text 0 is not among the last %d of the 100", TAIL);
      assertThat(opened.read(tokens, 0)).isEqualTo(before);
    }
  }

  /** A checkpoint with canvases. */
  private static final class Opened implements AutoCloseable {
    final Arena arena = Arena.ofShared();
    final ThreadPool pool = ThreadPool.of(2);
    final ModelFile file;
    final CanvasEvaluator evaluator;

    Opened(String name, KvOptions options) {
      file =
          ModelFile.open(
              Path.of(System.getProperty("sylvester.root"), "tests/golden/checkpoints", name));
      Weights weights = Weights.load(file, LENGTH, arena, pool);
      KvPlan plan = KvPlan.of(weights.kvGeometry(), options);
      evaluator = new CanvasEvaluator(weights, pool, CanvasCaches.packed(weights, pool, plan));
      evaluator.reserve(2, LENGTH, TAIL);
    }

    double[][] read(int[] tokens, int from) {
      Pass pass = new Pass();
      pass.add(0, tokens, from, LENGTH);
      evaluator.read(pass);
      return logits(0, from);
    }

    double[][] logits(int text, int from) {
      int count = LENGTH - from;
      int[] texts = new int[count];
      Arrays.fill(texts, text);
      MemorySegment rows = evaluator.logits(texts, IntStream.range(from, LENGTH).toArray(), count);
      double[][] logits = new double[LENGTH][];
      for (int p = from; p < LENGTH; p++) {
        logits[p] = new double[VOCAB];
        for (int v = 0; v < VOCAB; v++) {
          logits[p][v] = rows.getAtIndex(ValueLayout.JAVA_FLOAT, (long) (p - from) * VOCAB + v);
        }
      }
      return logits;
    }

    @Override
    public void close() {
      evaluator.close();
      pool.close();
      arena.close();
      file.close();
    }
  }
}
