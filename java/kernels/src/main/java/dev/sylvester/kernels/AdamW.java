package dev.sylvester.kernels;

import dev.sylvester.kernels.ffi.SylvesterFfi;
import dev.sylvester.kernels.ffi.syl_adamw;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * AdamW (Loshchilov and Hutter, arXiv 1711.05101) of parameters in memory, with beta 0.9 and 0.999
 * and epsilon 1e-8. Its memory belongs to an arena. One thread at a time.
 */
public final class AdamW {
  private static final float BETA1 = 0.9f;
  private static final float BETA2 = 0.999f;
  private static final float EPSILON = 1e-8f;

  private final MemorySegment parameters;
  private final MemorySegment mean;
  private final MemorySegment square;
  private final MemorySegment options;
  private long steps;

  private AdamW(
      MemorySegment parameters, MemorySegment mean, MemorySegment square, MemorySegment options) {
    this.parameters = parameters;
    this.mean = mean;
    this.square = square;
    this.options = options;
  }

  /**
   * Before the first step.
   *
   * @param parameters floats, changed by each step
   * @param weightDecay at least 0, decoupled from the gradient
   * @param arena owns the moments
   * @return the optimizer
   */
  public static AdamW of(MemorySegment parameters, float weightDecay, Arena arena) {
    String function = "AdamW.of";
    long bytes = Args.present(function, "parameters", parameters).byteSize();
    MemorySegment options = arena.allocate(syl_adamw.layout());
    syl_adamw.struct_size(options, (int) syl_adamw.sizeof());
    syl_adamw.beta1(options, BETA1);
    syl_adamw.beta2(options, BETA2);
    syl_adamw.epsilon(options, EPSILON);
    syl_adamw.weight_decay(options, weightDecay);
    return new AdamW(
        parameters,
        Args.allocate(function, bytes, arena),
        Args.allocate(function, bytes, arena),
        options);
  }

  /**
   * Running means of the gradient.
   *
   * @return as many floats as parameters; what is written there counts
   */
  public MemorySegment mean() {
    return mean;
  }

  /**
   * Running means of the gradient's squares.
   *
   * @return as many floats as parameters; what is written there counts
   */
  public MemorySegment square() {
    return square;
  }

  /**
   * Number of steps so far.
   *
   * @return the number
   */
  public long steps() {
    return steps;
  }

  /**
   * Goes on from another optimizer, whose parameters and moments were copied here.
   *
   * @param done its steps, at least 0
   */
  public void resume(long done) {
    Args.range("AdamW.resume", "done", done, 0, Long.MAX_VALUE - 1);
    steps = done;
  }

  /**
   * One step.
   *
   * @param gradient as many floats as parameters
   * @param gradientScale factor on the gradient
   * @param learningRate at least 0
   * @param pool threads, or null
   */
  public void step(
      MemorySegment gradient, float gradientScale, float learningRate, ThreadPool pool) {
    String function = "AdamW.step";
    Args.input(function, "gradient", gradient, parameters.byteSize());
    Args.output(function, "parameters", parameters, parameters.byteSize());
    syl_adamw.learning_rate(options, learningRate);
    syl_adamw.gradient_scale(options, gradientScale);
    syl_adamw.step(options, steps + 1);
    SylvesterException.check(
        SylvesterFfi.syl_nn_adamw_f32(
            options,
            gradient,
            parameters.byteSize() / Float.BYTES,
            parameters,
            mean,
            square,
            ThreadPool.handle(pool)));
    steps++;
  }
}
