package dev.sylvester.kernels.spec;

import static dev.sylvester.kernels.TestData.assertRefused;
import static org.assertj.core.api.Assertions.assertThat;

import dev.sylvester.kernels.SamplerOptions;
import dev.sylvester.kernels.SpecMode;
import dev.sylvester.kernels.Status;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import net.jqwik.api.EdgeCasesMode;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.ShrinkingMode;

class NgramDraftTest {
  private static final Draft DRAFT =
      Drafts.empty(
          SpecOptions.of(SpecMode.EXACT, SamplerOptions.GREEDY).withRule(new StopRule.Constant(20)),
          64);

  /** Longest suffix of tokens[0, length) up to `most` that also ends before: {length, last end}. */
  private static int[] longestSuffix(int[] tokens, int length, int most) {
    int[] best = {0, 0};
    for (int end = length - 1; end > 0; end--) {
      int n = 0;
      while (n < most && n < end && tokens[end - 1 - n] == tokens[length - 1 - n]) {
        n++;
      }
      if (n > best[0]) {
        best = new int[] {n, end};
      }
    }
    return best;
  }

  @Property(tries = 300, seed = "1", edgeCases = EdgeCasesMode.NONE, shrinking = ShrinkingMode.OFF)
  void theAutomatonFindsTheLongestSuffix(@ForAll long seed) {
    Random random = new Random(seed);
    int most = 1 + random.nextInt(random.nextBoolean() ? 4 : 40);
    SuffixAutomaton automaton = new SuffixAutomaton(most);
    int[] tokens = text(random, 1 + random.nextInt(300));
    for (int i = 0; i < tokens.length; i++) {
      automaton.append(tokens[i]);
      int[] expected = longestSuffix(tokens, i + 1, most);
      assertThat(automaton.matchLength()).as("seed %d, token %d", seed, i).isEqualTo(expected[0]);
      if (expected[0] > 0) {
        assertThat(automaton.matchEnd()).as("seed %d, token %d", seed, i).isEqualTo(expected[1]);
      }
    }
  }

  /** Few or many tokens, at random or with copies of what was there. */
  private static int[] text(Random random, int length) {
    int vocabulary = 1 + random.nextInt(random.nextBoolean() ? 3 : 50);
    double copies = random.nextBoolean() ? 0 : 0.1;
    int[] tokens = new int[length];
    for (int i = 0; i < length; i++) {
      tokens[i] = random.nextInt(vocabulary);
      if (i > 10 && random.nextDouble() < copies) {
        int n = Math.min(random.nextInt(30), length - i);
        int from = random.nextInt(i);
        for (int j = 0; j < n; j++) {
          tokens[i + j] = tokens[from + j];
        }
        i += Math.max(n - 1, 0);
      }
    }
    return tokens;
  }

  private static List<Integer> expected(
      int[] tokens, int length, int least, int most, double factor, int room) {
    int[] match = longestSuffix(tokens, length, most);
    List<Integer> candidates = new ArrayList<>();
    for (int i = 0; match[0] >= least && i < room && i < factor * match[0]; i++) {
      int at = match[1] + i;
      candidates.add(at < length ? tokens[at] : candidates.get(at - length));
    }
    return candidates;
  }

  private static List<Integer> proposed(NgramDraft source, Text text, int room) {
    Drafts.begin(DRAFT, text, room);
    source.propose(text, DRAFT);
    List<Integer> candidates = new ArrayList<>();
    for (int node = 1; node <= DRAFT.count(); node++) {
      assertThat(DRAFT.parent(node)).isEqualTo(node - 1);
      candidates.add(DRAFT.token(node));
    }
    return candidates;
  }

  @Property(tries = 100, seed = "2", edgeCases = EdgeCasesMode.NONE, shrinking = ShrinkingMode.OFF)
  void textsThatGrowAndGoBack(@ForAll long seed) {
    Random random = new Random(seed);
    int least = 1 + random.nextInt(3);
    int most = least + random.nextInt(20);
    double factor = 0.5 + 3 * random.nextDouble();
    NgramDraft source = new NgramDraft(least, most, factor);
    Text text = new Text(text(random, 50));
    for (int round = 0; round < 20; round++) {
      if (random.nextInt(4) == 0) {
        text.truncate(1 + random.nextInt(text.length()));
      }
      int[] more = text(random, 1 + random.nextInt(30));
      text.append(more, 0, more.length);
      int room = 1 + random.nextInt(20);
      assertThat(proposed(source, text, room))
          .as("seed %d, round %d", seed, round)
          .isEqualTo(expected(text.toArray(), text.length(), least, most, factor, room));
    }
  }

  @Example
  void anotherTextIsReadAnew() {
    NgramDraft source = new NgramDraft();
    assertThat(proposed(source, new Text(1, 2, 3, 1, 2), 8))
        .containsExactly(3, 1, 2, 3, 1, 2, 3, 1);
    assertThat(proposed(source, new Text(5, 6, 7, 8), 8)).isEmpty();
    assertThat(proposed(source, new Text(5, 6, 7, 5, 6), 2)).containsExactly(7, 5);
    assertThat(source.name()).isEqualTo("ngram");
  }

  @Example
  void theLatestOccurrenceCounts() {
    NgramDraft source = new NgramDraft(2, 8, 0.5);
    assertThat(proposed(source, new Text(1, 2, 3, 1, 2, 4, 9, 1, 2), 8)).containsExactly(4);
  }

  @Example
  void badArgumentsAreRefused() {
    assertRefused(Status.BAD_VALUE, "0..4", () -> new NgramDraft(0, 4, 1));
    assertRefused(Status.BAD_VALUE, "3..2", () -> new NgramDraft(3, 2, 1));
    assertRefused(Status.BAD_VALUE, "NaN", () -> new NgramDraft(1, 2, Double.NaN));
    assertRefused(Status.BAD_VALUE, "-1", () -> new NgramDraft(1, 2, -1));
  }

  @Example
  void aLongTextOfOneTokenTakesLinearTime() {
    SuffixAutomaton automaton = new SuffixAutomaton(32);
    for (int i = 1; i <= 300_000; i++) {
      automaton.append(7);
    }
    assertThat(automaton.matchLength()).isEqualTo(32);
    assertThat(automaton.matchEnd()).isEqualTo(299_999);
  }
}
