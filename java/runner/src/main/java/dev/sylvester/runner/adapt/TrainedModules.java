package dev.sylvester.runner.adapt;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import dev.sylvester.kernels.DType;
import dev.sylvester.kernels.KronFactors;
import dev.sylvester.kernels.KronShape;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.LinkedHashMap;
import java.util.Map;

/** All factors of an adapter in one piece of memory, and their gradients in another. */
final class TrainedModules {
  private final Map<String, KronFactors> initial;
  private final Map<String, AdaptedLinear.Trained> modules = new LinkedHashMap<>();
  private final MemorySegment parameters;
  private final MemorySegment gradient;

  /**
   * Starts from copies.
   *
   * @param initial factors of floats by name
   * @param arena owns the memory
   */
  TrainedModules(Map<String, KronFactors> initial, Arena arena) {
    this.initial = initial;
    long bytes = initial.values().stream().mapToLong(TrainedModules::bytes).sum();
    parameters = arena.allocate(bytes, 64);
    gradient = arena.allocate(bytes, 64);
    long at = 0;
    for (Map.Entry<String, KronFactors> entry : initial.entrySet()) {
      KronFactors from = entry.getValue();
      long uBytes = from.terms() * from.shape().m() * from.shape().n() * Float.BYTES;
      long vBytes = bytes(from) - uBytes;
      MemorySegment u = parameters.asSlice(at, uBytes).copyFrom(from.u().asSlice(0, uBytes));
      MemorySegment v =
          parameters.asSlice(at + uBytes, vBytes).copyFrom(from.v().asSlice(0, vBytes));
      modules.put(
          entry.getKey(),
          new AdaptedLinear.Trained(
              KronFactors.of(DType.F32, from.terms(), from.shape(), u, v),
              gradient.asSlice(at, uBytes),
              gradient.asSlice(at + uBytes, vBytes)));
      at += uBytes + vBytes;
    }
  }

  private static long bytes(KronFactors factors) {
    KronShape s = factors.shape();
    return factors.terms() * (s.m() * s.n() + s.p() * s.q()) * Float.BYTES;
  }

  /** The adapter of a layer, or null. */
  AdaptedLinear.Trained of(String layer) {
    return modules.get(layer);
  }

  /** All factors, u before v in each module. */
  MemorySegment parameters() {
    return parameters;
  }

  /** Gradients in the same order. */
  MemorySegment gradient() {
    return gradient;
  }

  /** Number of floats. */
  long count() {
    return parameters.byteSize() / Float.BYTES;
  }

  /** The factors as they are now. */
  Map<String, KronFactors> factors() {
    Map<String, KronFactors> factors = new LinkedHashMap<>();
    modules.forEach((name, module) -> factors.put(name, module.factors()));
    return factors;
  }

  /**
   * What training changed: trained terms and, with their left factors negated, the initial ones, so
   * that the sum is right beside the model as it was.
   *
   * @param arena owns the factors
   */
  Map<String, KronFactors> change(Arena arena) {
    Map<String, KronFactors> change = new LinkedHashMap<>();
    modules.forEach(
        (name, module) -> {
          KronFactors now = module.factors();
          KronFactors before = initial.get(name);
          MemorySegment u = joined(now.u(), before.u(), -1, arena);
          MemorySegment v = joined(now.v(), before.v(), 1, arena);
          change.put(name, KronFactors.of(DType.F32, 2 * now.terms(), now.shape(), u, v));
        });
    return change;
  }

  private static MemorySegment joined(
      MemorySegment first, MemorySegment second, float factor, Arena arena) {
    long count = first.byteSize() / Float.BYTES;
    MemorySegment both = arena.allocate(2 * first.byteSize(), 64);
    both.copyFrom(first);
    for (long i = 0; i < count; i++) {
      both.setAtIndex(JAVA_FLOAT, count + i, factor * second.getAtIndex(JAVA_FLOAT, i));
    }
    return both;
  }
}
