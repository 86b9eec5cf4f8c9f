package dev.sylvester.runner.diffusion;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class HexTest {
  private static final int[] BLOCKS = {4, 8, 16};

  private static Hex.Path path(int block, String answer) {
    return new Hex.Path(block, 0, answer, null);
  }

  @Test
  void theMostFrequentAnswerWins() {
    assertThat(Hex.winner(List.of(path(4, "1"), path(8, "2"), path(16, "2"))).answer())
        .isEqualTo("2");
    // Among equals that of the smallest block.
    assertThat(Hex.winner(List.of(path(16, "1"), path(8, "2"), path(4, "3"))).answer())
        .isEqualTo("3");
    assertThat(Hex.winner(List.of(path(4, "1"), path(8, "2"), path(8, "2"), path(16, "1"))))
        .isEqualTo(path(4, "1"));
    // No answer is no vote.
    assertThat(Hex.winner(List.of(path(4, ""), path(8, ""), path(16, "7"))).answer())
        .isEqualTo("7");
    assertThat(Hex.winner(List.of(path(8, ""), path(4, ""))).answer()).isEmpty();
  }

  /** Whatever the rest says, the answer stays. */
  @Test
  void aDecidedVoteCannotBeLost() {
    Random random = new Random(5);
    int decided = 0;
    for (int i = 0; i < 20_000; i++) {
      int planned = random.nextInt(1, 12);
      List<Hex.Path> all = new ArrayList<>();
      for (int p = 0; p < planned; p++) {
        int answer = random.nextInt(4);
        all.add(path(BLOCKS[random.nextInt(3)], answer == 3 ? "" : "" + answer));
      }
      List<Hex.Path> some = all.subList(0, random.nextInt(1, planned + 1));
      if (Hex.isDecided(some, planned)) {
        decided++;
        assertThat(Hex.winner(some).answer()).isEqualTo(Hex.winner(all).answer());
      }
    }
    assertThat(decided).isGreaterThan(2000);
  }

  @Test
  void anEarlyEndDoesNotChangeTheAnswer() {
    int early = 0;
    for (int seed = 0; seed < 40; seed++) {
      Oracle oracle = new Oracle(seed, 6, false, false);
      DiffusionDecoder decoder = new DiffusionDecoder(oracle);
      Hex hex = new Hex(List.of(1, 2, 4), 3, 1 + seed % 4, tokens -> "" + tokens[0]);
      DiffusionRequest request =
          DiffusionRequest.of(Canvas.of(new int[] {4}, 4, 3), new SemiAutoregressive(4, 4))
              .withSampling(Sampling.GREEDY.withTemperature(0.9).withSeed(seed));
      Hex.Vote all = hex.vote(decoder, request, 4, false);
      Hex.Vote some = hex.vote(decoder, request, 4, true);
      assertThat(all.paths()).hasSize(9);
      assertThat(some.answer()).isEqualTo(all.answer());
      early += some.paths().size() < 9 ? 1 : 0;
      assertThat(Hex.tally(all).values().stream().mapToInt(Integer::intValue).sum()).isEqualTo(9);
    }
    assertThat(early).isGreaterThan(10);
  }

  /** 25 canvases in one batch say what 25 separate runs say. */
  @Test
  void canvasesTogetherSayWhatEachSaysAlone() {
    DiffusionDecoder decoder = new DiffusionDecoder(new Oracle(77, 6, true, false));
    DiffusionRequest request =
        DiffusionRequest.of(Canvas.of(new int[] {4}, 16, 3), new SemiAutoregressive(16, 16))
            .withRule(new Threshold(0.6))
            .withCache(CachePolicy.DUAL)
            .withSampling(Sampling.GREEDY.withTemperature(3).withSeed(5));
    List<Integer> blocks = List.of(1, 2, 4, 8, 16);
    Hex.Vote together = new Hex(blocks, 5, 25, t -> "" + t[0]).vote(decoder, request, 16, false);
    Hex.Vote alone = new Hex(blocks, 5, 1, t -> "" + t[0]).vote(decoder, request, 16, false);
    assertThat(together.paths()).hasSize(25);
    assertThat(together.answer()).isEqualTo(alone.answer());
    for (int i = 0; i < 25; i++) {
      DiffusionResult both = together.paths().get(i).result();
      DiffusionResult single = alone.paths().get(i).result();
      assertThat(both.tokens()).isEqualTo(single.tokens());
      assertThat(both.committedAt()).isEqualTo(single.committedAt());
    }
    assertThat(together.paths().stream().map(Hex.Path::answer).distinct().count()).isGreaterThan(1);
  }

  @Test
  void refusesWhatCannotVote() {
    assertThatThrownBy(() -> new Hex(List.of(), 5, 1, t -> ""))
        .hasMessage("there are no block sizes");
    assertThatThrownBy(() -> new Hex(List.of(1), 0, 1, t -> "")).hasMessageContaining("seeds is 0");
    assertThatThrownBy(() -> new Hex(List.of(1), 1, 0, t -> ""))
        .hasMessageContaining("together is 0");
  }
}
