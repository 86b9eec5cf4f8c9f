package dev.sylvester.runner.eval;

import dev.sylvester.runner.CacheOptions;
import dev.sylvester.runner.Model;
import dev.sylvester.runner.diffusion.AnswerRegion;
import dev.sylvester.runner.diffusion.CachePolicy;
import dev.sylvester.runner.diffusion.Canvas;
import dev.sylvester.runner.diffusion.CommitRule;
import dev.sylvester.runner.diffusion.DiffusionRequest;
import dev.sylvester.runner.diffusion.Hex;
import dev.sylvester.runner.diffusion.Sampling;
import dev.sylvester.runner.diffusion.SemiAutoregressive;
import dev.sylvester.runner.diffusion.StopRule;
import java.util.List;

/**
 * A way to fill the canvas of a word problem.
 *
 * @param name for people
 * @param length tokens of the canvas behind the question
 * @param block positions of a block
 * @param steps of all blocks
 * @param vote of several canvases, or null: one canvas with the most probable tokens
 * @param rule which positions
 * @param stop when the rest is known
 * @param cache what is computed anew
 * @param kv how keys and values are kept
 */
public record DiffusionSetup(
    String name,
    int length,
    int block,
    int steps,
    Vote vote,
    CommitRule rule,
    StopRule stop,
    CachePolicy cache,
    CacheOptions kv) {
  private static final double HEX_TEMPERATURE = 0.5;

  /** Behind the mark, a space and up to two digits or one and the end. */
  private static final int ANSWER_TOKENS = 3;

  /**
   * A vote of {@link Hex}.
   *
   * @param blocks block sizes
   * @param seeds how many seeds with each
   * @param together canvases that are read at once; 0: all
   * @param early whether it ends when it is decided
   */
  public record Vote(List<Integer> blocks, int seeds, int together, boolean early) {}

  /** Where the number stands: behind the mark of GSM8K's solutions. */
  public static AnswerRegion answer(Model model) {
    return AnswerRegion.behind(model.tokenizer().encode(" ####", false), ANSWER_TOKENS);
  }

  /** Its vote, for setups with one. */
  Hex hex(Model model) {
    return new Hex(
        vote.blocks(),
        vote.seeds(),
        vote.together() == 0 ? vote.blocks().size() * vote.seeds() : vote.together(),
        tokens -> Problem.answer(DiffusionComparison.text(model, tokens)));
  }

  /** What it does with a problem. */
  public DiffusionRequest request(Model model, Problem problem) {
    int[] prompt = model.tokenizer().encode(problem.question(), true);
    return DiffusionRequest.of(
            Canvas.of(prompt, length, model.config().maskId()),
            new SemiAutoregressive(block, steps))
        .withRule(rule)
        .withStop(stop)
        .withCache(cache)
        .withSampling(
            Sampling.GREEDY
                .withTemperature(vote == null ? 0 : HEX_TEMPERATURE)
                .withTempered(model.config().shiftedLogits()));
  }
}
