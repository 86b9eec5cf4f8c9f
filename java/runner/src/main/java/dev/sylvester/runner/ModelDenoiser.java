package dev.sylvester.runner;

import dev.sylvester.kernels.LogitsOptions;
import dev.sylvester.kernels.LogitsStats;
import dev.sylvester.runner.diffusion.Denoiser;
import dev.sylvester.runner.diffusion.Pass;
import dev.sylvester.runner.layers.CanvasEvaluator;
import java.lang.foreign.MemorySegment;

/** A model that fills canvases. */
final class ModelDenoiser implements Denoiser {
  private final Model model;
  private final CanvasEvaluator evaluator;

  ModelDenoiser(Model model, CanvasEvaluator evaluator) {
    this.model = model;
    this.evaluator = evaluator;
  }

  @Override
  public int vocabSize() {
    return evaluator.vocabSize();
  }

  @Override
  public boolean shifted() {
    return model.config().shiftedLogits();
  }

  @Override
  public void reserve(int canvases, int length, int tail) {
    if (length > model.context()) {
      throw new IllegalArgumentException(
          "prompt and generated part have %,d tokens, the context holds %,d"
              .formatted(length, model.context()));
    }
    evaluator.reserve(canvases, length, tail);
  }

  @Override
  public boolean suffixesOnly() {
    return evaluator.suffixesOnly();
  }

  @Override
  public void copy(int from, int to) {
    evaluator.copy(from, to);
  }

  @Override
  public void read(Pass pass) {
    evaluator.read(pass);
  }

  @Override
  public MemorySegment logits(int[] canvases, int[] rows, int count) {
    return evaluator.logits(canvases, rows, count);
  }

  @Override
  public boolean statistics(
      int[] canvases,
      int[] rows,
      int count,
      boolean guided,
      LogitsOptions options,
      MemorySegment streams,
      LogitsStats stats) {
    return evaluator.statistics(canvases, rows, count, guided, options, streams, stats);
  }

  @Override
  public void close() {
    evaluator.close();
    model.closed(this);
  }
}
