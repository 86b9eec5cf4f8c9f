package dev.sylvester.kernels.spec;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.sylvester.kernels.SamplerOptions;
import dev.sylvester.kernels.SpecMode;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.junit.jupiter.api.Test;

class SourceChainTest {
  private final Draft draft =
      Drafts.empty(SpecOptions.of(SpecMode.EXACT, SamplerOptions.GREEDY), 8);
  private final Text text = new Text(1, 2, 3);

  /** Proposes its number, if it has candidates. */
  private static final class Numbered implements DraftSource {
    private final int number;
    boolean empty;
    boolean closed;
    int judged;

    Numbered(int number) {
      this.number = number;
    }

    @Override
    public String name() {
      return "s" + number;
    }

    @Override
    public void propose(Text text, Draft draft) {
      if (!empty) {
        draft.add(number, 0.5);
      }
    }

    @Override
    public void judged(int drafted, int accepted, long nanos) {
      judged++;
    }

    @Override
    public void close() {
      closed = true;
    }
  }

  private int proposed(DraftSource source) {
    Drafts.begin(draft, text, 4);
    source.propose(text, draft);
    return draft.count() == 0 ? -1 : draft.token(1);
  }

  @Test
  void theFirstThatHasCandidatesProposes() {
    List<Numbered> sources = List.of(new Numbered(0), new Numbered(1), new Numbered(2));
    SourceChain chain = SourceChain.firstOf(sources);
    assertThat(proposed(chain)).isZero();
    sources.get(0).empty = true;
    assertThat(proposed(chain)).isEqualTo(1);
    chain.judged(1, 1, 100);
    assertThat(sources.stream().map(source -> source.judged)).containsExactly(0, 1, 0);
    sources.get(1).empty = true;
    sources.get(2).empty = true;
    assertThat(proposed(chain)).isEqualTo(-1);
    chain.close();
    assertThat(sources).allMatch(source -> source.closed);
  }

  @Test
  void theOneWithMostTokensInATimeProposes() {
    List<Numbered> sources = List.of(new Numbered(0), new Numbered(1), new Numbered(2));
    SourceChain chain = SourceChain.bestOf(sources);
    double[] accepted = {1, 3, 2};
    int[] chosen = new int[3];
    for (int round = 0; round < 1000; round++) {
      int source = proposed(chain);
      chosen[source]++;
      chain.judged(4, (int) accepted[source], 100);
    }
    assertThat(chosen[1]).isGreaterThan(950);
    assertThat(chosen[0]).isGreaterThan(4);
    assertThat(chosen[2]).isGreaterThan(4);
    // The text has changed: what was best is not any more.
    accepted[1] = 0;
    for (int round = 0; round < 1000; round++) {
      int source = proposed(chain);
      chosen[source]++;
      chain.judged(4, (int) accepted[source], 100);
    }
    assertThat(chosen[2]).isGreaterThan(850);
  }

  @Test
  void namesAndBounds() {
    SourceChain chain = SourceChain.firstOf(List.of(new Numbered(0), new NgramDraft()));
    assertThat(chain.name()).contains("s0").contains("ngram");
    assertThatThrownBy(() -> SourceChain.firstOf(List.of())).hasMessageContaining("0 sources");
    List<DraftSource> nine = new ArrayList<>(Collections.nCopies(9, new NgramDraft()));
    assertThatThrownBy(() -> SourceChain.bestOf(nine)).hasMessageContaining("9 sources");
  }
}
