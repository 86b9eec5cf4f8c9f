package dev.sylvester.runner;

import dev.sylvester.runner.layers.AdapterSet;
import java.util.List;

/** Adapters of an {@link AdapterBank}, added up. Immutable. */
public final class AdapterMix {
  /** The model as it is. */
  public static final AdapterMix NONE = new AdapterMix(null, List.of(), AdapterSet.NONE);

  final Model model;
  final AdapterSet set;
  private final List<Adapter> adapters;

  AdapterMix(Model model, List<Adapter> adapters, AdapterSet set) {
    this.model = model;
    this.adapters = List.copyOf(adapters);
    this.set = set;
  }

  /** What is added up. */
  public List<Adapter> adapters() {
    return adapters;
  }
}
