package dev.sylvester.runner.eval;

import dev.sylvester.runner.Model;
import dev.sylvester.runner.diffusion.AnswerRegion;
import dev.sylvester.runner.diffusion.CachePolicy;
import dev.sylvester.runner.diffusion.Canvas;
import dev.sylvester.runner.diffusion.CommitRule;
import dev.sylvester.runner.diffusion.DiffusionRequest;
import dev.sylvester.runner.diffusion.Sampling;
import dev.sylvester.runner.diffusion.SemiAutoregressive;
import dev.sylvester.runner.diffusion.StopRule;

/**
 * A way to fill the canvas of a word problem.
 *
 * @param name for people
 * @param block positions of a block
 * @param steps of all blocks
 * @param rule which positions
 * @param stop when the rest is known
 * @param cache what is computed anew
 */
public record DiffusionSetup(
    String name, int block, int steps, CommitRule rule, StopRule stop, CachePolicy cache) {
  /** Tokens of the canvas behind the question, as the embedded model was trained. */
  public static final int LENGTH = 64;

  /** Behind the mark, a space and up to two digits or one and the end. */
  private static final int ANSWER_TOKENS = 3;

  /** Where the number stands: behind the mark of GSM8K's solutions. */
  public static AnswerRegion answer(Model model) {
    return AnswerRegion.behind(model.tokenizer().encode(" ####", false), ANSWER_TOKENS);
  }

  /** What it does with a problem, always with the most probable token. */
  public DiffusionRequest request(Model model, Problem problem) {
    return request(model, problem, 0);
  }

  /** What it does with a problem at a temperature. */
  public DiffusionRequest request(Model model, Problem problem, double temperature) {
    int[] prompt = model.tokenizer().encode(problem.question(), true);
    return DiffusionRequest.of(
            Canvas.of(prompt, LENGTH, model.config().maskId()),
            new SemiAutoregressive(block, steps))
        .withRule(rule)
        .withStop(stop)
        .withCache(cache)
        .withSampling(
            Sampling.GREEDY
                .withTemperature(temperature)
                .withTempered(model.config().shiftedLogits()));
  }
}
