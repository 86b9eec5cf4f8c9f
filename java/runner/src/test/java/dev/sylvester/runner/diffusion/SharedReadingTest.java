package dev.sylvester.runner.diffusion;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class SharedReadingTest {
  private static final int MASK = 7;
  private static final int VOCAB = 12;

  /** What it predicts depends on everything that was read of a canvas, in the order of reading. */
  private static final class Remembering extends Oracle {
    private int[][] memory = new int[0][];
    long rows;
    long asked;

    Remembering(long seed) {
      super(seed, VOCAB, seed % 2 == 1, false);
    }

    @Override
    public void reserve(int count, int length, int tail) {
      super.reserve(count, length, tail);
      memory = new int[count][length];
    }

    @Override
    public void copy(int from, int to) {
      super.copy(from, to);
      memory[to] = memory[from].clone();
    }

    @Override
    public void read(Pass pass) {
      super.read(pass);
      rows += pass.rows();
      int[] seen = new int[memory.length];
      for (int i = 0; i < pass.count(); i++) {
        int canvas = pass.canvas(i);
        int[] of = memory[canvas];
        for (int p = pass.from(i); p < pass.to(i); p++) {
          of[p] = pass.tokens(i)[p] + 1;
          seen[canvas] = 31 * seen[canvas] + p;
        }
      }
      for (int i = 0; i < pass.count(); i++) {
        int[] of = memory[pass.canvas(i)];
        int all = Arrays.hashCode(Arrays.copyOf(of, pass.tokens(i).length));
        for (int p = pass.from(i); p < pass.to(i); p++) {
          // As keys and values: of the token in the sight of all others.
          of[p] = 31 * all + seen[pass.canvas(i)] + pass.tokens(i)[p];
        }
      }
    }

    @Override
    public MemorySegment logits(int[] of, int[] positions, int count) {
      asked += count;
      return super.logits(of, positions, count);
    }

    @Override
    float[] row(int canvas, int[] tokens, int position) {
      return row(Arrays.copyOf(memory[canvas], tokens.length), position);
    }
  }

  private static List<DiffusionRequest> requests(Random random) {
    List<CachePolicy> caches =
        List.of(CachePolicy.NONE, CachePolicy.PREFIX, CachePolicy.DUAL, new DelayedKv(3));
    int length = 8 * random.nextInt(1, 3);
    CachePolicy cache = caches.get(random.nextInt(caches.size()));
    double guidance = random.nextInt(4) == 0 ? 0.5 : 0;
    List<DiffusionRequest> requests = new ArrayList<>();
    for (int i = random.nextInt(2, 8); i > 0; i--) {
      boolean other = random.nextInt(5) == 0;
      requests.add(
          DiffusionRequest.of(
                  Canvas.of(new int[] {other ? 3 : 2, 4}, length, MASK),
                  new SemiAutoregressive(2 << random.nextInt(3), length))
              .withRule(random.nextBoolean() ? new Threshold(0.5) : new Threshold(0.8))
              .withCache(other ? caches.get(random.nextInt(caches.size())) : cache)
              .withSampling(
                  Sampling.GREEDY
                      .withTemperature(random.nextInt(3) == 0 ? 0.8 : 0)
                      .withSeed(random.nextInt(2))
                      .withGuidance(guidance)));
    }
    return requests;
  }

  @Test
  void resultsAreThoseOfEachAlone() {
    long shared = 0;
    long separate = 0;
    for (int seed = 0; seed < 200; seed++) {
      List<DiffusionRequest> requests = requests(new Random(seed));
      Remembering together = new Remembering(seed);
      List<DiffusionResult> results =
          new DiffusionDecoder(together).fill(requests, filled -> false);
      long counted = 0;
      for (int i = 0; i < requests.size(); i++) {
        Remembering alone = new Remembering(seed);
        DiffusionResult want = new DiffusionDecoder(alone).fill(requests.get(i));
        DiffusionResult got = results.get(i);
        String where = "seed %d, canvas %d of %d".formatted(seed, i, requests.size());
        assertThat(got.tokens()).describedAs(where).isEqualTo(want.tokens());
        assertThat(got.committedAt()).describedAs(where).isEqualTo(want.committedAt());
        assertThat(got.forwardPasses()).describedAs(where).isEqualTo(want.forwardPasses());
        assertThat(want.rowsComputed()).describedAs(where).isEqualTo(alone.rows);
        counted += got.rowsComputed();
        separate += want.rowsComputed();
      }
      assertThat(counted).isEqualTo(together.rows);
      shared += counted;
    }
    // Many prompts and block sizes are the same, and seeds differ only where tokens are drawn.
    assertThat(shared).isLessThan(separate * 4 / 5);
  }

  /** Any canvases, tokens and spans: logits are those of a model that reads each by itself. */
  @Test
  void logitsAreThoseOfEachAlone() {
    int[][][] spans = {{{0, 6}}, {{0, 2}}, {{2, 5}}, {{0, 2}, {4, 6}}, {{0, 2}, {3, 6}}};
    long shared = 0;
    long separate = 0;
    for (int seed = 0; seed < 300; seed++) {
      Random random = new Random(seed);
      Remembering together = new Remembering(seed);
      Remembering alone = new Remembering(seed);
      int count = random.nextInt(2, 7);
      SharedReading reading = new SharedReading(together);
      reading.reserve(count, 6, 6);
      alone.reserve(count, 6, 6);
      int[][] tokens = new int[count][6];
      for (int round = 0; round < 20; round++) {
        Pass pass = new Pass();
        for (int canvas = 0; canvas < count; canvas++) {
          if (random.nextInt(3) == 0) {
            tokens[canvas][random.nextInt(6)] = random.nextInt(2);
          }
          if (random.nextInt(6) > 0) {
            for (int[] span : spans[random.nextInt(spans.length)]) {
              pass.add(canvas, tokens[canvas].clone(), span[0], span[1]);
            }
          }
        }
        reading.read(pass);
        alone.read(pass);
        for (int span = 0; span < pass.count(); span++) {
          int canvas = pass.canvas(span);
          int[] text = pass.tokens(span);
          for (int p = pass.from(span); p < pass.to(span); p++) {
            assertThat(together.row(reading.place(canvas), text, p))
                .describedAs("seed %d, round %d, canvas %d, row %d", seed, round, canvas, p)
                .isEqualTo(alone.row(canvas, text, p));
          }
        }
      }
      shared += together.rows;
      separate += alone.rows;
    }
    assertThat(shared).isLessThan(separate);
  }

  /** What nobody can tell apart is read once from beginning to end. */
  @Test
  void equalCanvasesCostAsMuchAsOne() {
    DiffusionRequest request =
        DiffusionRequest.of(Canvas.of(new int[] {2, 4}, 16, MASK), new SemiAutoregressive(4, 16))
            .withCache(CachePolicy.DUAL);
    Remembering one = new Remembering(1);
    new DiffusionDecoder(one).fill(request);
    Remembering five = new Remembering(1);
    new DiffusionDecoder(five).fill(Collections.nCopies(5, request), filled -> false);
    assertThat(five.rows).isEqualTo(one.rows);
    assertThat(five.asked).isEqualTo(one.asked);
  }
}
