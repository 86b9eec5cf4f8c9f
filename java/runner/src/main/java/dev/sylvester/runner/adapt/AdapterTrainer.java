package dev.sylvester.runner.adapt;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import dev.sylvester.kernels.AdamW;
import dev.sylvester.kernels.CosineSchedule;
import dev.sylvester.kernels.KronFactors;
import dev.sylvester.kernels.ThreadPool;
import dev.sylvester.runner.format.AdapterFolder;
import dev.sylvester.runner.format.ModelConfig;
import dev.sylvester.runner.format.ModelFile;
import dev.sylvester.runner.hub.Progress;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;

/**
 * Trains an adapter beside a frozen model: the mean negative log-likelihood of the answers' tokens,
 * AdamW, a learning rate that rises and then falls by a cosine. Same model, examples and options:
 * same bits, for any number of threads and across {@link #save} and {@link #resume}. One thread at
 * a time; the model's file must stay open.
 *
 * <p>soka and pissa train the principal terms of the weights while the rest stays as it is. The
 * adapter that is written holds the trained terms and the initial ones with the other sign, twice
 * as many, so that it belongs beside the model as it was.
 */
public final class AdapterTrainer implements AutoCloseable {
  // Weights and their transposes, in floats.
  private static final long BYTES_OF_WEIGHT = 2 * Float.BYTES;

  /**
   * A step of the optimizer.
   *
   * @param number from 1 on
   * @param loss mean negative log-likelihood of a token of its examples' answers, before it
   * @param gradientNorm of that mean, before clipping
   */
  public record Step(long number, double loss, double gradientNorm) {}

  private final TrainingOptions options;
  private final List<TrainingExample> examples;
  private final ThreadPool pool;
  private final Arena arena = Arena.ofShared();
  private final TrainedModules modules;
  private final AdaptedModel model;
  private final AdamW optimizer;
  private final CosineSchedule schedule;
  private final String fingerprint;
  private final List<Step> history = new ArrayList<>();
  private long shuffledEpoch = -1;
  private int[] order;

  /**
   * Makes an adapter ready for its first step.
   *
   * @param examples at least one, of tokens that the model has
   * @param pool threads, or null
   * @param progress told about layers
   * @throws IllegalArgumentException that names what does not fit
   */
  public AdapterTrainer(
      ModelFile file,
      TrainingOptions options,
      List<TrainingExample> examples,
      ThreadPool pool,
      Progress progress) {
    requireFit(file, options, examples);
    this.options = options;
    this.examples = List.copyOf(examples);
    this.pool = pool;
    try {
      MessageDigest digest = digest();
      Map<String, KronFactors> initial = InitialTerms.of(file, options, arena, pool, progress);
      modules = new TrainedModules(initial, arena);
      FrozenWeights weights =
          new FrozenWeights(file, startsFromWeights() ? initial : Map.of(), digest);
      model = new AdaptedModel(file, weights, modules, arena, pool);
      optimizer = AdamW.of(modules.parameters(), options.weightDecay(), arena);
      schedule = new CosineSchedule(options.learningRate(), options.warmup(), options.steps());
      fingerprint = HexFormat.of().formatHex(digest.digest());
    } catch (RuntimeException | Error e) {
      arena.close();
      throw e;
    }
  }

  private static void requireFit(
      ModelFile file, TrainingOptions options, List<TrainingExample> examples) {
    ModelConfig config = file.config();
    if (config.bidirectional()) {
      throw new IllegalArgumentException(
          "%s is a diffusion model: adapters of those cannot be trained".formatted(file.path()));
    }
    if (examples.isEmpty()) {
      throw new IllegalArgumentException("there are no examples to learn from");
    }
    if (options.batch() > examples.size()) {
      throw new IllegalArgumentException(
          "batch is %d, there are %d examples".formatted(options.batch(), examples.size()));
    }
    for (int i = 0; i < examples.size(); i++) {
      int[] tokens = examples.get(i).tokens();
      if (tokens.length > config.contextLength()) {
        throw new IllegalArgumentException(
            "example %d has %,d tokens, the model holds %,d"
                .formatted(i + 1, tokens.length, config.contextLength()));
      }
      for (int token : tokens) {
        if (token < 0 || token >= config.vocabSize()) {
          throw new IllegalArgumentException(
              "example %d has token %d, the model has %,d"
                  .formatted(i + 1, token, config.vocabSize()));
        }
      }
    }
  }

  /** Of all that decides what is trained. */
  private MessageDigest digest() {
    try {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      digest.update(options.toString().getBytes(StandardCharsets.UTF_8));
      for (TrainingExample example : examples) {
        int[] tokens = example.tokens();
        ByteBuffer bytes = ByteBuffer.allocate(Integer.BYTES * (tokens.length + 1));
        bytes.asIntBuffer().put(tokens).put(example.prompt());
        digest.update(bytes);
      }
      return digest;
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every Java platform has SHA-256", e);
    }
  }

  private boolean startsFromWeights() {
    return options.method() != TrainingOptions.Method.LORA;
  }

  /**
   * About how much memory training takes: the weights and their transposes in floats, and the
   * activations of a batch of the longest examples.
   */
  public static long bytes(ModelConfig c, TrainingOptions options, List<TrainingExample> examples) {
    long queries = (long) c.heads() * c.headDim();
    long keys = (long) c.kvHeads() * c.headDim();
    long width = c.hiddenSize();
    long inner = c.intermediateSize();
    long layer = 2 * width * (queries + keys) + 3 * width * inner;
    long weights = c.layers() * layer + c.vocabSize() * width;
    long rows =
        examples.stream()
            .map(example -> example.tokens().length)
            .sorted(Comparator.reverseOrder())
            .limit(options.batch())
            .mapToLong(Integer::longValue)
            .sum();
    long answers =
        examples.stream()
            .map(TrainingExample::answer)
            .sorted(Comparator.reverseOrder())
            .limit(options.batch())
            .mapToLong(Integer::longValue)
            .sum();
    long kept = c.layers() * (4 * width + 4 * queries + 4 * keys + 3 * inner);
    long passing = 4 * width + 2 * queries + 4 * keys + 3 * inner;
    return BYTES_OF_WEIGHT * weights
        + Float.BYTES * (rows * (kept + passing) + answers * (c.vocabSize() + 4 * width));
  }

  /** Number of parameters in training. */
  public long parameters() {
    return modules.count();
  }

  /** Terms of each layer that has any. */
  public Map<String, Long> ranks() {
    Map<String, Long> ranks = new LinkedHashMap<>();
    modules.factors().forEach((name, factors) -> ranks.put(name, factors.terms()));
    return ranks;
  }

  /** The steps so far. */
  public List<Step> history() {
    return List.copyOf(history);
  }

  /** Whether all steps are done. */
  public boolean finished() {
    return history.size() == options.steps();
  }

  /**
   * One step of the optimizer.
   *
   * @throws ArithmeticException when the loss is not finite; the parameters are as they were
   */
  public Step step() {
    if (finished()) {
      throw new IllegalStateException("all %d steps are done".formatted(options.steps()));
    }
    modules.gradient().fill((byte) 0);
    model.pack();
    long number = history.size() + 1;
    double loss = 0;
    long tokens = 0;
    for (int pass = 0; pass < options.accumulate(); pass++) {
      List<TrainingExample> batch = batch((number - 1) * options.accumulate() + pass);
      loss += model.addGradient(batch);
      tokens += batch.stream().mapToInt(TrainingExample::answer).sum();
    }
    Step step = new Step(number, loss / tokens, gradientNorm() / tokens);
    if (!Double.isFinite(step.loss) || !Double.isFinite(step.gradientNorm)) {
      throw new ArithmeticException(
          "step %d has the loss %s and a gradient of norm %s: try a lower learning rate"
              .formatted(number, step.loss, step.gradientNorm));
    }
    double clipping = Math.min(1, options.clip() / step.gradientNorm);
    // A gradient of 0 is divided by nothing.
    float scale = (float) (step.gradientNorm == 0 ? 0 : clipping / tokens);
    optimizer.step(modules.gradient(), scale, schedule.rate(number), pool);
    history.add(step);
    return step;
  }

  private double gradientNorm() {
    double sum = 0;
    for (long i = 0; i < modules.count(); i++) {
      double value = modules.gradient().getAtIndex(JAVA_FLOAT, i);
      sum += value * value;
    }
    return Math.sqrt(sum);
  }

  /** The examples of a pass, each epoch in an order of its own. */
  private List<TrainingExample> batch(long pass) {
    List<TrainingExample> batch = new ArrayList<>();
    for (int i = 0; i < options.batch(); i++) {
      long at = pass * options.batch() + i;
      shuffle(at / examples.size());
      batch.add(examples.get(order[(int) (at % examples.size())]));
    }
    return batch;
  }

  private void shuffle(long epoch) {
    if (epoch == shuffledEpoch) {
      return;
    }
    shuffledEpoch = epoch;
    SplittableRandom random = new SplittableRandom(options.seed());
    for (long i = 0; i < epoch; i++) {
      random = random.split();
    }
    order = new int[examples.size()];
    for (int i = 0; i < order.length; i++) {
      int other = random.nextInt(i + 1);
      order[i] = order[other];
      order[other] = i;
    }
  }

  /** Mean negative log-likelihood of a token of answers, with the adapter as it is now. */
  public double loss(List<TrainingExample> texts) {
    model.pack();
    double loss = 0;
    for (int i = 0; i < texts.size(); i += options.batch()) {
      loss += model.loss(texts.subList(i, Math.min(texts.size(), i + options.batch())));
    }
    return loss / texts.stream().mapToInt(TrainingExample::answer).sum();
  }

  /**
   * Writes the adapter as it is now, as a whole or not at all: for soka a file, for lora and pissa
   * a new folder that PEFT reads as LoRA.
   *
   * @throws IOException when it cannot be written
   */
  public void write(Path path) throws IOException {
    try (Arena scratch = Arena.ofShared()) {
      Map<String, KronFactors> change =
          startsFromWeights() ? modules.change(scratch) : modules.factors();
      if (options.method() == TrainingOptions.Method.SOKA) {
        AdapterFolder.writeKron(path, change);
      } else {
        AdapterFolder.writeLora(path, change);
      }
    }
  }

  /**
   * Writes all that {@link #resume} needs, as a whole or not at all.
   *
   * @throws IOException when it cannot be written
   */
  public void save(Path checkpoint) throws IOException {
    TrainingCheckpoint.write(checkpoint, fingerprint, modules.parameters(), optimizer, history);
  }

  /**
   * Goes on from a checkpoint of the same model, examples and options.
   *
   * @throws IllegalArgumentException when it is another training's
   */
  public void resume(Path checkpoint) {
    List<Step> steps =
        TrainingCheckpoint.read(checkpoint, fingerprint, modules.parameters(), optimizer);
    history.clear();
    history.addAll(steps);
  }

  @Override
  public void close() {
    model.close();
    arena.close();
  }
}
