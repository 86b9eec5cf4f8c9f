package dev.sylvester.runner.spec;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import dev.sylvester.kernels.AcceptanceHead;
import dev.sylvester.kernels.AcceptanceHeadTrainer;
import dev.sylvester.kernels.ThreadPool;
import dev.sylvester.kernels.Workspace;
import dev.sylvester.runner.Model;
import dev.sylvester.runner.hub.Progress;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.SplittableRandom;

/** Trains an acceptance head for a pair of models: collect, train, calibrate, score. */
public final class HeadTraining implements AutoCloseable {
  // Of ten prompts, which is for calibration and which for the score.
  private static final int PARTS = 10;
  private static final int CALIBRATION_PART = 8;
  private static final int HELD_OUT_PART = 9;
  private static final int FEWEST_PROMPTS = PARTS;

  private static final double LEAST_LOG_SCALE = Math.log(0.1);
  private static final double MOST_LOG_SCALE = Math.log(10);

  /**
   * How data are made.
   *
   * @param temperature at which the head will serve; 0: always the most probable token
   * @param mix probability that the draft reads the target's token instead of its own, 0..1
   * @param maxTokens most tokens of an answer
   * @param seed of all random numbers
   */
  public record DataOptions(float temperature, double mix, int maxTokens, long seed) {
    /** Checks the values. */
    public DataOptions {
      if (!(temperature >= 0 && Float.isFinite(temperature))) {
        throw new IllegalArgumentException(
            "temperature is %s, must be 0 or more".formatted(temperature));
      }
      if (!(mix >= 0 && mix < 1)) {
        throw new IllegalArgumentException("mix is %s, must be 0 or more, below 1".formatted(mix));
      }
      if (maxTokens < 1) {
        throw new IllegalArgumentException(
            "max tokens is %d, must be at least 1".formatted(maxTokens));
      }
    }
  }

  /**
   * How the head is trained.
   *
   * @param blocks of the head, 0..64
   * @param tied whether they are one
   * @param rejectWeight weight of rejections, more than 0
   * @param epochs passes over the data, at least 1
   * @param batchRows hidden states of a step, at least 1
   * @param learningRate the highest one
   */
  public record TrainingOptions(
      int blocks, boolean tied, float rejectWeight, int epochs, int batchRows, float learningRate) {
    /** Checks the values. */
    public TrainingOptions {
      require(blocks >= 0 && blocks <= 64, "blocks", blocks, "0..64");
      require(
          rejectWeight > 0 && Float.isFinite(rejectWeight),
          "reject weight",
          rejectWeight,
          "more than 0");
      require(epochs >= 1, "epochs", epochs, "at least 1");
      require(batchRows >= 1, "batch", batchRows, "at least 1");
      require(
          learningRate > 0 && Float.isFinite(learningRate),
          "learning rate",
          learningRate,
          "more than 0");
    }

    private static void require(boolean holds, String name, Number value, String range) {
      if (!holds) {
        throw new IllegalArgumentException("%s is %s, must be %s".formatted(name, value, range));
      }
    }
  }

  /**
   * A trained head.
   *
   * @param head calibrated
   * @param loss mean weighted loss of the last epoch
   * @param trainRows hidden states that it learned from
   * @param raw score on held-out prompts as the loss left it
   * @param score on held-out prompts once the weight of rejections is undone and the scale fitted
   */
  public record Result(
      AcceptanceHead head, double loss, long trainRows, HeadScore raw, HeadScore score) {}

  private final HeadSamples train;
  private final HeadSamples calibration;
  private final HeadSamples heldOut;
  private final long seed;

  private HeadTraining(int width, long seed) {
    this.train = new HeadSamples(width);
    this.calibration = new HeadSamples(width);
    this.heldOut = new HeadSamples(width);
    this.seed = seed;
  }

  /**
   * Collects hidden states. Of every ten prompts eight are for training, one for calibration and
   * one for the score.
   *
   * @param prompts tokens of texts that the target continues
   * @throws IllegalArgumentException when there are fewer than ten prompts, or the vocabularies
   *     differ
   */
  public static HeadTraining collect(
      Model target, Model draft, List<int[]> prompts, DataOptions options, Progress progress) {
    if (prompts.size() < FEWEST_PROMPTS) {
      throw new IllegalArgumentException(
          "%d prompts are too few, %d are needed".formatted(prompts.size(), FEWEST_PROMPTS));
    }
    HeadTraining training = new HeadTraining(draft.config().hiddenSize(), options.seed);
    try (HeadDataset dataset = new HeadDataset(target, draft, options)) {
      for (int i = 0; i < prompts.size(); i++) {
        dataset.add(prompts.get(i), i, training.part(i % PARTS));
        progress.update(i + 1L, prompts.size());
      }
      if (training.train.rows() == 0
          || training.calibration.rows() == 0
          || training.heldOut.rows() == 0) {
        throw new IllegalArgumentException("the prompts leave no room for answers");
      }
      return training;
    } catch (RuntimeException | Error e) {
      training.close();
      throw e;
    }
  }

  private HeadSamples part(int number) {
    return switch (number) {
      case CALIBRATION_PART -> calibration;
      case HELD_OUT_PART -> heldOut;
      default -> train;
    };
  }

  /**
   * Trains a head.
   *
   * @param arena owns the head's memory
   */
  public Result train(TrainingOptions options, ThreadPool pool, Arena arena, Progress progress) {
    AcceptanceHead.Shape shape =
        new AcceptanceHead.Shape(train.width(), options.blocks, options.tied);
    AcceptanceHeadTrainer.Options trainer =
        new AcceptanceHeadTrainer.Options(
            options.learningRate,
            AcceptanceHeadTrainer.Options.DEFAULT.warmup(),
            AcceptanceHeadTrainer.Options.DEFAULT.weightDecay(),
            1,
            options.rejectWeight);
    long steps = options.epochs * Math.ceilDiv(train.rows(), (long) options.batchRows);
    try (Arena scratch = Arena.ofConfined();
        AcceptanceHeadTrainer training =
            AcceptanceHeadTrainer.of(shape, trainer, steps, seed, pool)) {
      double loss = run(training, options, steps, progress);
      AcceptanceHead raw = training.head(0, 1, scratch);
      float scale = fittedScale(raw, trainer.shift(), pool);
      AcceptanceHead head = raw.calibrated(trainer.shift(), scale, arena);
      return new Result(
          head, loss, train.rows(), score(raw, heldOut, pool), score(head, heldOut, pool));
    }
  }

  private double run(
      AcceptanceHeadTrainer training, TrainingOptions options, long steps, Progress progress) {
    int rows = Math.toIntExact(train.rows());
    int[] order = new int[rows];
    for (int i = 0; i < rows; i++) {
      order[i] = i;
    }
    SplittableRandom random = new SplittableRandom(seed);
    long step = 0;
    double loss = 0;
    try (Arena scratch = Arena.ofConfined()) {
      long width = train.width();
      MemorySegment hidden = scratch.allocate(options.batchRows * width * Float.BYTES, 64);
      MemorySegment labels = scratch.allocate((long) options.batchRows * Float.BYTES, 64);
      for (int epoch = 0; epoch < options.epochs; epoch++) {
        shuffle(order, random);
        loss = 0;
        for (int first = 0; first < rows; first += options.batchRows) {
          int count = Math.min(options.batchRows, rows - first);
          for (int i = 0; i < count; i++) {
            train.copy(order[first + i], hidden, labels, i);
          }
          loss += training.step(hidden, width, labels, count) * count / rows;
          progress.update(++step, steps);
        }
      }
    }
    return loss;
  }

  private static void shuffle(int[] order, SplittableRandom random) {
    for (int i = order.length - 1; i > 0; i--) {
      int j = random.nextInt(i + 1);
      int swapped = order[i];
      order[i] = order[j];
      order[j] = swapped;
    }
  }

  /** The scale of least divergence on the calibration part, by golden-section search. */
  private float fittedScale(AcceptanceHead raw, float shift, ThreadPool pool) {
    double ratio = (Math.sqrt(5) - 1) / 2;
    double low = LEAST_LOG_SCALE;
    double high = MOST_LOG_SCALE;
    while (high - low > 1e-3) {
      double left = high - ratio * (high - low);
      double right = low + ratio * (high - low);
      if (divergence(raw, shift, left, pool) < divergence(raw, shift, right, pool)) {
        high = right;
      } else {
        low = left;
      }
    }
    return (float) Math.exp((low + high) / 2);
  }

  private double divergence(AcceptanceHead raw, float shift, double logScale, ThreadPool pool) {
    try (Arena scratch = Arena.ofConfined()) {
      AcceptanceHead head = raw.calibrated(shift, (float) Math.exp(logScale), scratch);
      return score(head, calibration, pool).divergence();
    }
  }

  private static HeadScore score(AcceptanceHead head, HeadSamples samples, ThreadPool pool) {
    try (Arena scratch = Arena.ofConfined();
        Workspace workspace = new Workspace()) {
      MemorySegment predictions = scratch.allocate(JAVA_FLOAT, samples.rows());
      head.accept(samples.hidden(), samples.width(), samples.rows(), predictions, workspace, pool);
      float[] labels = new float[Math.toIntExact(samples.rows())];
      for (int i = 0; i < labels.length; i++) {
        labels[i] = samples.label(i);
      }
      return HeadScore.of(predictions.toArray(JAVA_FLOAT), labels);
    }
  }

  @Override
  public void close() {
    train.close();
    calibration.close();
    heldOut.close();
  }
}
