package dev.sylvester.runner;

import dev.sylvester.runner.diffusion.Denoiser;
import dev.sylvester.runner.diffusion.Pass;
import dev.sylvester.runner.layers.CanvasEvaluator;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/** A model that fills canvases. */
final class ModelDenoiser implements Denoiser {
  private final Model model;
  private final CanvasEvaluator evaluator;
  private final List<CanvasEvaluator.Span> spans = new ArrayList<>();

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
  public void reserve(int canvases, int length) {
    if (length > model.context()) {
      throw new IllegalArgumentException(
          "prompt and generated part have %,d tokens, the context holds %,d"
              .formatted(length, model.context()));
    }
    evaluator.reserve(canvases, length);
  }

  @Override
  public void read(Pass pass) {
    spans.clear();
    for (int i = 0; i < pass.count(); i++) {
      spans.add(new CanvasEvaluator.Span(pass.canvas(i), pass.tokens(i), pass.from(i), pass.to(i)));
    }
    evaluator.read(spans);
  }

  @Override
  public MemorySegment logits(int[] canvases, int[] rows, int count) {
    return evaluator.logits(canvases, rows, count);
  }

  @Override
  public void close() {
    evaluator.close();
    model.closed(this);
  }
}
