package dev.sylvester.runner.format;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import dev.sylvester.kernels.DType;
import dev.sylvester.kernels.KronDecomposition;
import dev.sylvester.kernels.KronFactors;
import dev.sylvester.kernels.KronShape;
import dev.sylvester.kernels.ThreadPool;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * What an adapter adds to a linear layer with weights W: {@code gains_o W[o] + scale delta[o]} for
 * each row o.
 *
 * @param factors of the delta
 * @param scale factor on it
 * @param gains of the rows, or null for none
 */
public record LayerChange(KronFactors factors, float scale, float[] gains) {
  /** A sum of terms as it is. */
  public static LayerChange of(KronFactors factors) {
    return new LayerChange(factors, 1, null);
  }

  /** Whether it is {@code scale B A}. */
  public boolean isLora() {
    KronShape shape = factors.shape();
    return gains == null && shape.equals(KronShape.lora(shape.out(), shape.in()));
  }

  /**
   * The change that a module makes of a layer.
   *
   * @param adapter whose modules fit the layer
   * @param name of the module
   * @param weights of the layer, out rows of in floats; null where the module does not depend on
   *     them
   * @param arena owns the factors that are made
   * @throws IllegalArgumentException that names the module, when a row of the changed weights is
   *     zero and DoRA has to give it a norm
   */
  public static LayerChange of(
      AdapterFolder adapter, String name, MemorySegment weights, Arena arena, ThreadPool pool) {
    AdapterFolder.Module module = adapter.modules().get(name);
    KronFactors factors = module.factors();
    if (module.principal()) {
      factors = lessPrincipalTerms(factors, module.scale(), weights, arena, pool);
    }
    if (module.magnitude() == null) {
      return new LayerChange(factors, module.scale(), null);
    }
    double[] ratio = normRatios(factors, module, weights, pool);
    long out = factors.shape().out();
    float[] gains = new float[ratio.length];
    MemorySegment u = arena.allocate(factors.u().byteSize(), 64);
    for (int o = 0; o < out; o++) {
      if (!Double.isFinite(ratio[o])) {
        throw adapter.error(name, "without a norm in row %d, which DoRA needs".formatted(o));
      }
      gains[o] = (float) (ratio[o] - 1);
      for (long k = 0; k < factors.terms(); k++) {
        float value = factors.u().getAtIndex(JAVA_FLOAT, k * out + o);
        u.setAtIndex(JAVA_FLOAT, k * out + o, (float) (ratio[o] * value));
      }
    }
    factors = KronFactors.of(DType.F32, factors.terms(), factors.shape(), u, factors.v());
    return new LayerChange(factors, module.scale(), gains);
  }

  /** A LoRA of twice the rank, as PEFT converts PiSSA. */
  private static KronFactors lessPrincipalTerms(
      KronFactors trained, float scale, MemorySegment weights, Arena arena, ThreadPool pool) {
    KronShape shape = trained.shape();
    int rank = (int) Math.min(trained.terms(), Math.min(shape.out(), shape.in()));
    try (Arena scratch = Arena.ofShared()) {
      // Random projections would find other terms than those that were taken away.
      KronFactors initial =
          KronDecomposition.of(
                  shape,
                  DType.F32,
                  weights,
                  shape.in(),
                  rank,
                  KronDecomposition.Method.EXACT,
                  0,
                  pool)
              .factors(rank, scratch);
      MemorySegment u = initial.u();
      for (long i = 0; i < u.byteSize() / Float.BYTES; i++) {
        u.setAtIndex(JAVA_FLOAT, i, (float) ((double) u.getAtIndex(JAVA_FLOAT, i) / scale));
      }
      return difference(trained, initial, arena);
    }
  }

  /**
   * The sum of the terms of one less those of another of the same shape, exactly.
   *
   * @param arena owns the factors
   */
  public static KronFactors difference(KronFactors of, KronFactors less, Arena arena) {
    MemorySegment u = Matrices.joined(of.u(), less.u(), arena);
    for (long i = of.u().byteSize() / Float.BYTES; i < u.byteSize() / Float.BYTES; i++) {
      u.setAtIndex(JAVA_FLOAT, i, -u.getAtIndex(JAVA_FLOAT, i));
    }
    MemorySegment v = Matrices.joined(of.v(), less.v(), arena);
    return KronFactors.of(DType.F32, of.terms() + less.terms(), of.shape(), u, v);
  }

  /** Of each row: the norm that it is given over the one that it has. */
  private static double[] normRatios(
      KronFactors factors, AdapterFolder.Module module, MemorySegment weights, ThreadPool pool) {
    long in = factors.shape().in();
    double[] ratios = new double[module.magnitude().length];
    try (Arena scratch = Arena.ofShared()) {
      MemorySegment changed = scratch.allocate(weights.byteSize(), 64).copyFrom(weights);
      factors.writeDelta(module.scale(), true, DType.F32, changed, in, pool);
      for (int o = 0; o < ratios.length; o++) {
        double squares = 0;
        for (long i = 0; i < in; i++) {
          double value = changed.getAtIndex(JAVA_FLOAT, o * in + i);
          squares += value * value;
        }
        ratios[o] = module.magnitude()[o] / Math.sqrt(squares);
      }
    }
    return ratios;
  }

  /**
   * Adds the change to floats.
   *
   * @param factor on it
   * @param weights of the layer before any change; null where there are no gains
   * @param sum out rows of in floats, which the change is added to
   */
  public void addTo(double factor, MemorySegment weights, MemorySegment sum, ThreadPool pool) {
    long in = factors.shape().in();
    factors.writeDelta(factor * scale, true, DType.F32, sum, in, pool);
    for (int o = 0; gains != null && o < gains.length; o++) {
      for (long i = o * in; i < (o + 1) * in; i++) {
        double gained = factor * gains[o] * weights.getAtIndex(JAVA_FLOAT, i);
        sum.setAtIndex(JAVA_FLOAT, i, (float) (sum.getAtIndex(JAVA_FLOAT, i) + gained));
      }
    }
  }
}
