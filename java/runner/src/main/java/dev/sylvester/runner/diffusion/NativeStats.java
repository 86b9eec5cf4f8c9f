package dev.sylvester.runner.diffusion;

import dev.sylvester.kernels.LogitsOptions;
import dev.sylvester.kernels.LogitsStats;
import dev.sylvester.kernels.Status;
import dev.sylvester.kernels.SylvesterException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Set;
import java.util.stream.IntStream;

/** In one native read of each row. */
final class NativeStats implements RowStats {
  private final int vocabSize;
  private final Sampling sampling;
  private final LogitsOptions options;
  private final LogitsStats stats;
  private final MemorySegment streams;
  private final boolean[] impossible;
  private MemorySegment logits;
  private MemorySegment unconditional;

  NativeStats(int vocabSize, Sampling sampling, int maskId, int rows) {
    this.vocabSize = vocabSize;
    this.sampling = sampling;
    this.impossible = new boolean[vocabSize];
    int[] banned = ids(sampling.banned(), sampling.allowMask() ? -1 : maskId);
    int[] ignored =
        IntStream.concat(IntStream.of(banned), IntStream.of(ids(sampling.doubted(), -1))).toArray();
    for (int token : ignored) {
      impossible[token] = true;
    }
    Arena arena = Arena.ofAuto();
    this.options =
        LogitsOptions.allocate(arena)
            .guidance((float) sampling.guidance())
            .temperature((float) sampling.temperatureOfStatistics())
            .drawTemperature((float) sampling.temperature())
            .seed(sampling.seed())
            .topK(sampling.topK())
            .topP((float) sampling.topP())
            .banned(banned)
            .ignored(ignored);
    this.stats = LogitsStats.allocate(rows, arena);
    this.streams = arena.allocate(ValueLayout.JAVA_LONG, rows);
  }

  private static int[] ids(Set<Integer> tokens, int more) {
    return IntStream.concat(
            tokens.stream().mapToInt(Integer::intValue),
            more < 0 ? IntStream.empty() : IntStream.of(more))
        .toArray();
  }

  @Override
  public void compute(
      MemorySegment logits, MemorySegment unconditional, Predictions of, Decoding at) {
    this.logits = logits;
    this.unconditional = unconditional;
    name(of, at);
    int count = of.count();
    try {
      stats.compute(
          options, logits, unconditional, vocabSize, count, vocabSize, null, streams, count, null);
    } catch (SylvesterException e) {
      throw explained(e, of, at);
    }
  }

  @Override
  public boolean compute(
      Denoiser denoiser, int[] canvases, int[] rows, Predictions of, Decoding at) {
    if (sampling.filters() || at.rule().readsProbabilities()) {
      return false;
    }
    logits = null;
    name(of, at);
    try {
      return denoiser.statistics(canvases, rows, of.count(), at.guided(), options, streams, stats);
    } catch (SylvesterException e) {
      throw explained(e, of, at);
    }
  }

  /** The random numbers. */
  private void name(Predictions of, Decoding at) {
    options.step(at.step());
    for (int r = 0; r < of.count(); r++) {
      streams.setAtIndex(ValueLayout.JAVA_LONG, r, of.position(r));
    }
  }

  private RuntimeException explained(SylvesterException e, Predictions of, Decoding at) {
    for (int r = 0; e.status() == Status.BAD_DATA && r < of.count(); r++) {
      if (Double.isNaN(stats.tail(r))) {
        return RowStats.notFinite(of.position(r), at);
      }
    }
    return e;
  }

  @Override
  public int argmax(int r) {
    return stats.argmax(r);
  }

  @Override
  public int token(int r) {
    return stats.token(r);
  }

  @Override
  public double probability(int r) {
    return stats.probability(r);
  }

  @Override
  public double probability(int r, int v) {
    if (logits == null || sampling.filters()) {
      throw new IllegalStateException("only rules that read probabilities know those of any token");
    }
    if (impossible[v]) {
      return 0;
    }
    long index = (long) r * vocabSize + v;
    double z = logits.getAtIndex(ValueLayout.JAVA_FLOAT, index);
    if (unconditional != null) {
      float u = unconditional.getAtIndex(ValueLayout.JAVA_FLOAT, index);
      z = u + (sampling.guidance() + 1) * (z - u);
    }
    return Math.exp(z / sampling.temperatureOfStatistics() - stats.logSumExp(r));
  }

  @Override
  public double gap(int r) {
    return stats.gap(r);
  }

  @Override
  public double margin(int r) {
    return stats.margin(r);
  }

  @Override
  public double entropy(int r) {
    return stats.entropy(r);
  }
}
