package dev.sylvester.kernels;

import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import dev.sylvester.kernels.ffi.SylvesterFfi;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.SplittableRandom;

/**
 * Trains an {@link AcceptanceHead}: SpecDec++'s loss, AdamW, a learning rate that rises and then
 * falls by a cosine. Same data, options and seed: same head. One thread at a time.
 */
public final class AcceptanceHeadTrainer implements AutoCloseable {
  /**
   * How it is trained.
   *
   * @param learningRate the highest one
   * @param warmup share of the steps in which the rate rises, 0..1
   * @param weightDecay of AdamW
   * @param acceptWeight w_acc: weight of acceptances, more than 0
   * @param rejectWeight w_rej: weight of rejections, more than 0
   */
  public record Options(
      float learningRate, float warmup, float weightDecay, float acceptWeight, float rejectWeight) {

    /** The paper's weights and warm-up. */
    public static final Options DEFAULT = new Options(1e-3f, 0.03f, 0, 1, 6);

    /**
     * With another weight of rejections.
     *
     * @param value more than 0
     * @return the changed copy
     */
    public Options withRejectWeight(float value) {
      return new Options(learningRate, warmup, weightDecay, acceptWeight, value);
    }

    /**
     * What undoes the weights in a head's logit.
     *
     * @return {@code log(rejectWeight / acceptWeight)}
     */
    public float shift() {
      return (float) Math.log((double) rejectWeight / acceptWeight);
    }
  }

  private final AcceptanceHead.Shape shape;
  private final Options options;
  private final CosineSchedule schedule;
  private final ThreadPool pool;
  private final Arena arena = Arena.ofConfined();
  private final Workspace workspace = new Workspace();
  private final long count;
  private final MemorySegment parameters;
  private final MemorySegment gradient;
  private final MemorySegment head;
  private final AdamW optimizer;
  private final MemorySegment loss;
  private final MemorySegment weight;

  private AcceptanceHeadTrainer(
      AcceptanceHead.Shape shape, Options options, long steps, ThreadPool pool) {
    this.shape = shape;
    this.options = options;
    this.schedule = new CosineSchedule(options.learningRate, options.warmup, steps);
    this.pool = pool;
    count = shape.parameters();
    parameters = floats();
    gradient = floats();
    optimizer = AdamW.of(parameters, options.weightDecay, arena);
    head = shape.toNative(parameters, 0, 1, arena);
    loss = arena.allocate(JAVA_DOUBLE);
    weight = arena.allocate(JAVA_DOUBLE);
  }

  private MemorySegment floats() {
    return Args.allocate("AcceptanceHeadTrainer", count * Float.BYTES, arena);
  }

  /**
   * A trainer of a new head, whose parameters are drawn from +-1/sqrt(width).
   *
   * @param shape of the head
   * @param options how it is trained
   * @param steps number of steps that the learning rate's course is laid out for, at least 1
   * @param seed of the parameters
   * @param pool threads, or null
   * @return the trainer
   */
  public static AcceptanceHeadTrainer of(
      AcceptanceHead.Shape shape, Options options, long steps, long seed, ThreadPool pool) {
    Args.range("AcceptanceHeadTrainer.of", "steps", steps, 1, Long.MAX_VALUE);
    AcceptanceHeadTrainer trainer = new AcceptanceHeadTrainer(shape, options, steps, pool);
    SplittableRandom random = new SplittableRandom(seed);
    double bound = 1 / Math.sqrt(shape.width());
    for (long i = 0; i < trainer.count; i++) {
      float value = (float) random.nextDouble(-bound, bound);
      trainer.parameters.setAtIndex(JAVA_FLOAT, i, value);
    }
    return trainer;
  }

  /**
   * One step of AdamW on a batch.
   *
   * @param hidden rows of width floats
   * @param stride from row to row, at least width
   * @param labels a probability of acceptance for each row; NaN: the row is ignored
   * @param rows number of rows
   * @return the batch's mean loss before the step; 0 when all rows are ignored, which is no step
   */
  public double step(MemorySegment hidden, long stride, MemorySegment labels, long rows) {
    String function = "AcceptanceHeadTrainer.step";
    Args.input(
        function, "hidden", hidden, Args.floats(function, "hidden", rows, shape.width(), stride));
    Args.input(function, "labels", labels, Args.product(function, "labels", rows, Float.BYTES));
    addGradient(hidden, stride, labels, rows);
    double total = weight.get(JAVA_DOUBLE, 0);
    if (total == 0) {
      return 0;
    }
    float rate = schedule.rate(optimizer.steps() + 1);
    optimizer.step(gradient, (float) (1 / total), rate, pool);
    return loss.get(JAVA_DOUBLE, 0) / total;
  }

  private void addGradient(MemorySegment hidden, long stride, MemorySegment labels, long rows) {
    gradient.fill((byte) 0);
    loss.set(JAVA_DOUBLE, 0, 0);
    weight.set(JAVA_DOUBLE, 0, 0);
    workspace.begin();
    try {
      SylvesterException.check(SylvesterFfi.syl_spec_head_workspace(head, rows, workspace.results));
      MemorySegment scratch = workspace.sized();
      SylvesterException.check(
          SylvesterFfi.syl_spec_head_gradient_f32(
              head,
              hidden,
              stride,
              labels,
              rows,
              options.acceptWeight,
              options.rejectWeight,
              gradient,
              loss,
              weight,
              scratch,
              scratch.byteSize(),
              ThreadPool.handle(pool)));
    } finally {
      workspace.end();
    }
  }

  /**
   * The head as it is now.
   *
   * @param shift added to the logit; {@link Options#shift} undoes the weights of training
   * @param scale factor on the shifted logit
   * @param headArena owns the head's memory
   * @return a copy
   */
  public AcceptanceHead head(float shift, float scale, Arena headArena) {
    return AcceptanceHead.of(shape, parameters, shift, scale, headArena);
  }

  @Override
  public void close() {
    workspace.close();
    if (arena.scope().isAlive()) {
      arena.close();
    }
  }
}
