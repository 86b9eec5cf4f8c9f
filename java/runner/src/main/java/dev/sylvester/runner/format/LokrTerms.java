package dev.sylvester.runner.format;

import dev.sylvester.kernels.KronFactors;
import dev.sylvester.kernels.KronShape;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Sums of Kronecker products as LoKr adapters, which have one product each. */
final class LokrTerms {
  private LokrTerms() {}

  /**
   * The factor by which PEFT cuts all layers as these are.
   *
   * @throws IllegalArgumentException when there is none
   */
  static long factor(Map<String, LayerChange> modules) {
    Set<Long> candidates = new LinkedHashSet<>(List.of(-1L));
    modules.forEach(
        (name, change) -> {
          KronShape s = change.factors().shape();
          if (change.gains() != null) {
            throw new IllegalArgumentException("module %s is DoRA, not LoKr".formatted(name));
          }
          candidates.addAll(List.of(s.m(), s.n(), s.p(), s.q()));
        });
    String misfit = null;
    for (long factor : candidates) {
      misfit = misfit(modules, factor);
      if (misfit == null) {
        return factor;
      }
    }
    throw new IllegalArgumentException(
        ("module %s has factors %s: PEFT has no decompose_factor that cuts all layers of the"
                + " adapter so; a lora can be made of it")
            .formatted(misfit, modules.get(misfit).factors().shape()));
  }

  /** The first module that PEFT would cut otherwise, or null. */
  private static String misfit(Map<String, LayerChange> modules, long factor) {
    for (Map.Entry<String, LayerChange> module : modules.entrySet()) {
      KronShape s = module.getValue().factors().shape();
      if (!KronShape.factored(s.out(), s.in(), factor).equals(s)) {
        return module.getKey();
      }
    }
    return null;
  }

  /** The kth terms of all modules that have as many. */
  static List<Map<String, LayerChange>> of(Map<String, LayerChange> modules) {
    List<Map<String, LayerChange>> terms = new ArrayList<>();
    modules.forEach(
        (name, change) -> {
          for (int k = 0; k < change.factors().terms(); k++) {
            if (terms.size() == k) {
              terms.add(new LinkedHashMap<>());
            }
            terms
                .get(k)
                .put(name, new LayerChange(term(change.factors(), k), change.scale(), null));
          }
        });
    return terms;
  }

  private static KronFactors term(KronFactors factors, int k) {
    long u = factors.u().byteSize() / factors.terms();
    long v = factors.v().byteSize() / factors.terms();
    return KronFactors.of(
        factors.type(),
        1,
        factors.shape(),
        factors.u().asSlice(k * u, u),
        factors.v().asSlice(k * v, v));
  }

  static Path folder(Path folder, int k, int count) {
    return count == 1 ? folder : folder.resolve("term" + (k + 1));
  }
}
