package dev.sylvester.runner;

import static org.assertj.core.api.Assertions.assertThat;

import dev.sylvester.runner.diffusion.Canvas;
import dev.sylvester.runner.diffusion.DelayedKv;
import dev.sylvester.runner.diffusion.Denoiser;
import dev.sylvester.runner.diffusion.DiffusionDecoder;
import dev.sylvester.runner.diffusion.DiffusionRequest;
import dev.sylvester.runner.diffusion.DiffusionResult;
import dev.sylvester.runner.diffusion.Precision;
import dev.sylvester.runner.diffusion.SemiAutoregressive;
import java.io.IOException;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** dKV-Cache-Decode against plain loops with keys and values in arrays. */
class DelayedKvTest {
  private static final int MASK = 263;
  private static final int PROMPT = 5;
  private static final int LENGTH = 24;

  /** Canvas, and the step of each position. */
  private record Filled(int[] tokens, int[] when, int rows) {}

  private static int[] canvas(int seed) {
    Random random = new Random(seed);
    int[] tokens = new int[PROMPT + LENGTH];
    for (int p = 0; p < tokens.length; p++) {
      boolean given = p < PROMPT || seed % 2 == 1 && random.nextInt(6) == 0;
      tokens[p] = given ? random.nextInt(3, MASK) : MASK;
    }
    return tokens;
  }

  /** LLaDA's loop; what is known in a pass is not computed in the next one. */
  private static Filled plain(String name, int[] canvas, int block, int interval)
      throws IOException {
    boolean shifted = name.equals("dream");
    PlainDiffusionModel model = new PlainDiffusionModel(name, canvas.length);
    int[] x = canvas.clone();
    int[] when = new int[x.length];
    Arrays.fill(when, -1);
    int rows = 0;
    int step = 0;
    for (int start = PROMPT; start < x.length; start += block) {
      boolean[] knownBefore = new boolean[x.length];
      for (int i = 0; i < block; i++, step++) {
        boolean[] computed = new boolean[x.length];
        boolean[] known = new boolean[x.length];
        int left = 0;
        for (int p = 0; p < x.length; p++) {
          computed[p] = i % interval == 0 || !knownBefore[p];
          known[p] = x[p] != MASK && (!shifted || p == x.length - 1 || x[p + 1] != MASK);
          left += p >= start && p < start + block && x[p] == MASK ? 1 : 0;
        }
        if (left == 0) {
          continue;
        }
        double[][] z = model.forward(x, computed);
        int best = -1;
        int token = -1;
        double most = -1;
        for (int p = start; p < start + block; p++) {
          if (x[p] == MASK) {
            double[] row = z[shifted ? p - 1 : p];
            int argmax = 0;
            for (int v = 1; v < MASK; v++) {
              argmax = row[v] > row[argmax] ? v : argmax;
            }
            double sum = 0;
            for (int v = 0; v < MASK; v++) {
              sum += Math.exp(row[v] - row[argmax]);
            }
            if (1 / sum > most) {
              most = 1 / sum;
              best = p;
              token = argmax;
            }
          }
        }
        for (boolean c : computed) {
          rows += c ? 1 : 0;
        }
        x[best] = token;
        when[best] = step;
        knownBefore = known;
      }
    }
    return new Filled(x, when, rows);
  }

  @ParameterizedTest
  @ValueSource(strings = {"dream", "llada"})
  void decodesAsThePlainLoop(String name) throws IOException {
    ModelOptions options = ModelOptions.defaults().withThreads(1).withCache(CacheOptions.F32);
    int differing = 0;
    try (Model model =
            Model.load(
                Golden.ROOT.resolve("tests/golden/checkpoints/" + name).toString(), options);
        Denoiser denoiser = model.newDenoiser()) {
      DiffusionDecoder decoder = new DiffusionDecoder(denoiser, Precision.F64);
      for (int seed = 0; seed < 8; seed++) {
        int[] canvas = canvas(seed);
        int block = new int[] {8, 24, 12}[seed % 3];
        DiffusionRequest request =
            DiffusionRequest.of(
                new Canvas(canvas, PROMPT, MASK), new SemiAutoregressive(block, LENGTH));
        DiffusionResult none = decoder.fill(request);
        for (int interval : new int[] {1, 3, 8, 100}) {
          DiffusionResult got = decoder.fill(request.withCache(new DelayedKv(interval)));
          Filled want = plain(name, canvas, block, interval);
          String where = "canvas %d, interval %d".formatted(seed, interval);
          assertThat(got.tokens())
              .describedAs(where)
              .isEqualTo(Arrays.copyOfRange(want.tokens(), PROMPT, canvas.length));
          assertThat(got.committedAt())
              .describedAs(where)
              .isEqualTo(Arrays.copyOfRange(want.when(), PROMPT, canvas.length));
          assertThat(got.rowsComputed()).describedAs(where).isEqualTo(want.rows());
          if (interval == 1) {
            assertThat(got.tokens()).isEqualTo(none.tokens());
            assertThat(got.committedAt()).isEqualTo(none.committedAt());
            assertThat(got.rowsComputed()).isEqualTo(none.rowsComputed());
          } else if (!Arrays.equals(got.committedAt(), none.committedAt())) {
            differing++;
          }
        }
      }
    }
    // Old keys and values do make a difference.
    assertThat(differing).isGreaterThan(8);
  }
}
