package dev.sylvester.runner.diffusion;

/**
 * Block after block from left to right, as LLaDA does (arXiv 2502.09992). A block of n unknown
 * tokens has {@code steps / blocks} steps, and each commits {@code n / steps} of them, the first
 * ones one more. A block as long as the generated part is a single block.
 *
 * @param block positions of a block; divides the generated part
 * @param steps of all blocks together; a multiple of their number
 */
public record SemiAutoregressive(int block, int steps) implements Schedule {
  /** Checks the values. */
  public SemiAutoregressive {
    if (block < 1) {
      throw new IllegalArgumentException("block is %d, must be at least 1".formatted(block));
    }
    if (steps < 1) {
      throw new IllegalArgumentException("steps is %d, must be at least 1".formatted(steps));
    }
  }

  @Override
  public int steps(Canvas canvas) {
    if (canvas.length() % block != 0) {
      throw new IllegalArgumentException(
          "block is %d, must divide the generation length %d".formatted(block, canvas.length()));
    }
    int blocks = canvas.length() / block;
    if (steps % blocks != 0) {
      throw new IllegalArgumentException(
          "steps is %d, must be a multiple of the %d blocks".formatted(steps, blocks));
    }
    return steps;
  }

  @Override
  public boolean plan(Decoding decoding, Stage stage) {
    Canvas canvas = decoding.canvas();
    if (decoding.rule().adaptive()) {
      int mask = decoding.firstMask();
      if (mask < 0) {
        return false;
      }
      int from = from(canvas, Math.max(0, mask - canvas.promptLength()) / block);
      stage.set(from, from + block, decoding.masks(0, from + block), 1);
      return true;
    }
    int stepsOfBlock = steps / (canvas.length() / block);
    int index = decoding.step() / stepsOfBlock;
    if (index == canvas.length() / block) {
      return false;
    }
    int from = from(canvas, index);
    int step = decoding.step() % stepsOfBlock;
    // Of the canvas as it was: nothing in a block is committed before its turn.
    int masks = canvas.masks(from, from + block);
    int quota = masks / stepsOfBlock + (step < masks % stepsOfBlock ? 1 : 0);
    stage.set(from, from + block, quota, 1.0 / (stepsOfBlock - step));
    return true;
  }

  private int from(Canvas canvas, int index) {
    return canvas.promptLength() + index * block;
  }
}
