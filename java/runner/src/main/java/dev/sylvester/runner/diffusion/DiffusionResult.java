package dev.sylvester.runner.diffusion;

import java.util.Arrays;
import java.util.Set;

/**
 * A filled canvas.
 *
 * @param tokens of the generated part, as many as were asked for
 * @param steps of the schedule that were taken
 * @param forwardPasses passes of the model; with guidance two in a step
 * @param rowsComputed positions that went through the layers, in all passes; those that serve
 *     several canvases count for one of them
 * @param rowsPredicted rows that went through the output matrix
 * @param edits committed tokens that were replaced by others
 * @param committedAt the step of each generated token; -1: given, or unknown at the end
 * @param stoppedBy name of the stop that ended it, or {@code none}
 * @param stopStep the step in which it did, or -1
 * @param seconds from first to last
 */
public record DiffusionResult(
    int[] tokens,
    int steps,
    int forwardPasses,
    long rowsComputed,
    long rowsPredicted,
    int edits,
    int[] committedAt,
    String stoppedBy,
    int stopStep,
    double seconds) {

  /** The tokens before the first end token. */
  public static int[] before(int[] tokens, Set<Integer> ends) {
    int count = 0;
    while (count < tokens.length && !ends.contains(tokens[count])) {
      count++;
    }
    return Arrays.copyOf(tokens, count);
  }
}
