package dev.sylvester.kernels.spec;

import dev.sylvester.kernels.AllocationTest;
import dev.sylvester.kernels.SamplerOptions;
import dev.sylvester.kernels.SpecMode;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Rounds of speculation allocate nothing on the Java heap once they are compiled. */
@Tag("own-process")
class SpeculationAllocationTest {
  private static final int V = 12;
  private static final Table TARGET = Table.random(V, 1, 2);
  private static final Table DRAFT = TARGET.plus(Table.random(V, 2, 2), 0.6);
  private static final SamplerOptions HOT =
      SamplerOptions.GREEDY.withTemperature(0.9f).withPenalties(1.1f, 0, 0);

  private static void assertNoAllocation(DraftSource source, SpecMode mode, StopRule rule) {
    TableModel model = new TableModel(TARGET, 300, true);
    Text text = new Text(1, 2, 3);
    text.memory(300);
    model.prompt(text);
    SpecOptions options =
        SpecOptions.of(mode, HOT).withRule(rule).withEndTokens(Set.of(3)).withGate(false);
    try (Speculation speculation = Speculation.of(model, source, options, null)) {
      AllocationTest.assertNoAllocation(
          () -> {
            if (speculation.round(text, 20) == 0) {
              text.truncate(100);
              model.truncate(99);
            }
          });
    }
  }

  @Test
  void drawnChains() {
    assertNoAllocation(new TableDraft(DRAFT), SpecMode.TOKEN, new StopRule.Cost(1, 20));
  }

  @Test
  void chosenChains() {
    DraftSource chain = SourceChain.bestOf(List.of(new NgramDraft(), new RandomDraft(1, V, false)));
    assertNoAllocation(chain, SpecMode.EXACT, new StopRule.Threshold(0.7, 1, 20));
  }
}
