package dev.sylvester.runner.adapt;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import dev.sylvester.kernels.Nn;
import dev.sylvester.kernels.Rope;
import dev.sylvester.kernels.ThreadPool;
import dev.sylvester.kernels.Workspace;
import dev.sylvester.runner.format.ModelConfig;
import dev.sylvester.runner.format.ModelFile;
import dev.sylvester.runner.format.Tensor;
import dev.sylvester.runner.layers.RopeFrequencies;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/**
 * A frozen model with an adapter in training: forward and backward passes over whole texts, all in
 * floats, texts one after the other in the rows. Valid while the model's file is open.
 */
final class AdaptedModel implements AutoCloseable {
  private final ModelConfig config;
  private final ThreadPool pool;
  private final Workspace workspace = new Workspace();
  private final Tensor embedding;
  private final List<AdaptedLayer> layers = new ArrayList<>();
  private final MemorySegment norm;
  private final AdaptedLinear head;
  private final Rope rope;
  private Arena packs = Arena.ofShared();

  /**
   * Packs the weights.
   *
   * @param weights of the file
   * @param trained modules beside them
   * @param arena owns the packed form
   */
  AdaptedModel(
      ModelFile file, FrozenWeights weights, TrainedModules trained, Arena arena, ThreadPool pool) {
    this.config = file.config();
    this.pool = pool;
    long width = config.hiddenSize();
    long vocabulary = config.vocabSize();
    embedding = file.require("model.embed_tokens.weight", vocabulary, width);
    norm = weights.vector("model.norm.weight", width, arena);
    rope = RopeFrequencies.of(config.rope(), config.contextLength(), arena);
    for (int i = 0; i < config.layers(); i++) {
      layers.add(new AdaptedLayer(config, i, weights, trained, rope, arena, workspace, pool));
    }
    head = weights.head(arena, pool);
  }

  /** Takes the factors as they are now. */
  void pack() {
    Arena before = packs;
    packs = Arena.ofShared();
    layers.forEach(layer -> layer.pack(packs));
    before.close();
  }

  /**
   * Adds the gradients of the answers' negative log-likelihood, summed over tokens.
   *
   * @return the negative log-likelihood
   */
  double addGradient(List<TrainingExample> batch) {
    return pass(batch, true);
  }

  /** The answers' negative log-likelihood, summed over tokens. */
  double loss(List<TrainingExample> batch) {
    return pass(batch, false);
  }

  private double pass(List<TrainingExample> batch, boolean back) {
    int rows = batch.stream().mapToInt(e -> e.tokens().length).sum();
    int answers = batch.stream().mapToInt(TrainingExample::answer).sum();
    try (Arena activations = Arena.ofShared()) {
      Texts texts = texts(batch, rows, activations);
      MemorySegment hidden = floats(activations, rows, config.hiddenSize());
      embed(batch, rows, hidden, activations);
      List<AdaptedLayer.Activations> kept = new ArrayList<>();
      for (AdaptedLayer layer : layers) {
        kept.add(layer.forward(hidden, texts, activations));
        hidden = kept.getLast().output();
      }
      MemorySegment gradient = floats(activations, rows, config.hiddenSize());
      double loss = head(batch, hidden, answers, gradient, activations);
      for (int i = layers.size() - 1; back && i >= 0; i--) {
        layers.get(i).backward(kept.get(i), texts, gradient);
      }
      return loss;
    }
  }

  /**
   * Where texts begin, and the rotations of their rows.
   *
   * @param first row of each text, then the number of all rows
   * @param table cosines and sines
   * @param inverse the same with sines negated: rotations are orthogonal, so that going back turns
   *     the other way
   */
  record Texts(int[] first, MemorySegment table, MemorySegment inverse) {
    int count() {
      return first.length - 1;
    }

    int rows() {
      return first[first.length - 1];
    }

    int tokens(int text) {
      return first[text + 1] - first[text];
    }
  }

  private Texts texts(List<TrainingExample> batch, int rows, Arena activations) {
    int[] first = new int[batch.size() + 1];
    MemorySegment positions = activations.allocate(JAVA_INT, rows);
    for (int text = 0; text < batch.size(); text++) {
      int tokens = batch.get(text).tokens().length;
      for (int i = 0; i < tokens; i++) {
        positions.setAtIndex(JAVA_INT, first[text] + i, i);
      }
      first[text + 1] = first[text] + tokens;
    }
    MemorySegment table = floats(activations, rows, rope.dims());
    rope.table(positions, rows, table);
    MemorySegment inverse = floats(activations, rows, rope.dims()).copyFrom(table);
    long half = rope.dims() / 2;
    for (long row = 0; row < rows; row++) {
      for (long i = row * rope.dims() + half; i < (row + 1) * rope.dims(); i++) {
        inverse.setAtIndex(JAVA_FLOAT, i, -inverse.getAtIndex(JAVA_FLOAT, i));
      }
    }
    return new Texts(first, table, inverse);
  }

  private void embed(
      List<TrainingExample> batch, int rows, MemorySegment hidden, Arena activations) {
    MemorySegment ids = activations.allocate(JAVA_INT, rows);
    long at = 0;
    for (TrainingExample example : batch) {
      for (int token : example.tokens()) {
        ids.setAtIndex(JAVA_INT, at++, token);
      }
    }
    long width = config.hiddenSize();
    Nn.embed(
        embedding.dtype(), embedding.data(), config.vocabSize(), width, ids, rows, hidden, width);
  }

  /** Only rows that predict an answer's token reach the head; gradient is of all rows, zero. */
  private double head(
      List<TrainingExample> batch,
      MemorySegment hidden,
      int answers,
      MemorySegment gradient,
      Arena activations) {
    int width = config.hiddenSize();
    long bytes = (long) width * Float.BYTES;
    int vocabulary = config.vocabSize();
    MemorySegment last = floats(activations, answers, width);
    long[] rows = new long[answers];
    int[] next = new int[answers];
    int at = 0;
    int first = 0;
    for (TrainingExample example : batch) {
      for (int i = example.prompt(); i < example.tokens().length; i++) {
        rows[at] = first + i - 1;
        next[at] = example.tokens()[i];
        MemorySegment.copy(hidden, rows[at] * bytes, last, at * bytes, bytes);
        at++;
      }
      first += example.tokens().length;
    }
    MemorySegment normed = floats(activations, answers, width);
    float eps = (float) config.rmsNormEps();
    Nn.rmsNorm(last, width, norm, eps, answers, width, normed, width, pool);
    MemorySegment logits = floats(activations, answers, vocabulary);
    head.forward(normed, answers, false, logits, workspace, pool);
    double loss = 0;
    float[] row = new float[vocabulary];
    for (int i = 0; i < answers; i++) {
      long from = (long) i * vocabulary * Float.BYTES;
      loss += Gradients.likelihood(logits.asSlice(from), row, next[i]);
    }
    MemorySegment dNormed = floats(activations, answers, width);
    head.backward(normed, logits, answers, false, dNormed, workspace, pool);
    MemorySegment dLast = floats(activations, answers, width);
    Gradients.addRmsNorm(last, norm, eps, answers, width, dNormed, dLast);
    for (int i = 0; i < answers; i++) {
      MemorySegment.copy(dLast, i * bytes, gradient, rows[i] * bytes, bytes);
    }
    return loss;
  }

  /** Zeros. */
  static MemorySegment floats(Arena arena, long rows, long cols) {
    return arena.allocate(Math.multiplyExact(rows * cols, (long) Float.BYTES), 64);
  }

  @Override
  public void close() {
    packs.close();
    workspace.close();
  }
}
