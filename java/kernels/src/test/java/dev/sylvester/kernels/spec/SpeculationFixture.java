package dev.sylvester.kernels.spec;

import dev.sylvester.kernels.SamplerOptions;
import dev.sylvester.kernels.SpecMode;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;

/** A text of a table's, and speculations that are closed after the test. */
abstract class SpeculationFixture {
  static final int V = 8;
  static final Table TARGET = Table.random(V, 11, 2);
  static final Table DRAFT = TARGET.plus(Table.random(V, 12, 2), 0.4);
  static final SamplerOptions HOT = SamplerOptions.GREEDY.withTemperature(1).withSeed(5);

  final TableModel model = new TableModel(TARGET, 500, true);
  final Text text = new Text(1, 2, 3);
  private final List<Speculation> open = new ArrayList<>();

  @AfterEach
  void free() {
    open.forEach(Speculation::close);
  }

  final Speculation start(DraftSource source, SpecOptions options) {
    model.prompt(text);
    Speculation speculation = Speculation.of(model, source, options, null);
    open.add(speculation);
    return speculation;
  }

  static SpecOptions options(SpecMode mode, StopRule rule) {
    return SpecOptions.of(mode, HOT).withRule(rule).withGate(false);
  }
}
