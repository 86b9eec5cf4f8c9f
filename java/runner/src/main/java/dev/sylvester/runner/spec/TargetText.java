package dev.sylvester.runner.spec;

import dev.sylvester.kernels.spec.TargetModel;
import dev.sylvester.runner.layers.Evaluator;
import java.lang.foreign.MemorySegment;

/** A text under evaluation whose candidates are read in one pass. */
public final class TargetText implements TargetModel {
  private final Evaluator evaluator;
  private final int vocabulary;

  /** The evaluator stays the caller's. */
  public TargetText(Evaluator evaluator, int vocabulary) {
    this.evaluator = evaluator;
    this.vocabulary = vocabulary;
  }

  @Override
  public int vocabulary() {
    return vocabulary;
  }

  @Override
  public int context() {
    return evaluator.context();
  }

  @Override
  public int position() {
    return evaluator.position();
  }

  @Override
  public int maxRows() {
    return evaluator.trialRows();
  }

  @Override
  public MemorySegment read(int[] tokens, int[] parents, int count) {
    return parents == null
        ? evaluator.append(tokens, count)
        : evaluator.readTree(tokens, parents, count);
  }

  @Override
  public void truncate(int length) {
    evaluator.truncate(length);
  }

  @Override
  public void keep(int[] path, int count) {
    if (count > 0) {
      evaluator.keep(path, count);
    }
  }
}
