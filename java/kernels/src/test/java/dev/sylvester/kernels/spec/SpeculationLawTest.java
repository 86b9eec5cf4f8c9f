package dev.sylvester.kernels.spec;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.assertj.core.api.Assertions.assertThat;

import dev.sylvester.kernels.SamplerOptions;
import dev.sylvester.kernels.SpecMode;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.junit.jupiter.api.Test;

/**
 * TOKEN and BLOCK: the text's law is the target's, with drafts whose length depends on what was
 * drafted. One long text is a Markov chain of second order: given three tokens the next one must
 * have the law that the last two give it.
 */
class SpeculationLawTest {
  private static final int V = 5;
  private static final int TOKENS = 60_000;
  private static final double TEMPERATURE = 0.9;
  private static final Table TARGET = Table.random(V, 3, 1);
  private static final Table NEAR = TARGET.plus(Table.random(V, 4, 1), 0.5);
  private static final Table OPPOSED = TARGET.times(-1);
  private static final SamplerOptions SAMPLER =
      SamplerOptions.GREEDY.withTemperature((float) TEMPERATURE).withSeed(77);
  private static final TreeShape TREE = TreeShape.best(new double[] {0.5, 0.25, 0.1}, 9, 3);

  private static final List<StopRule> RULES =
      List.of(
          new StopRule.Constant(3),
          new StopRule.Heuristic(2, 6),
          new StopRule.Confidence(0.35, 1, 6),
          new StopRule.Entropy(1.3, 1, 6),
          new StopRule.Threshold(0.6, 1, 6),
          new StopRule.Cost(1, 6));

  private static double z(DraftSource source, SpecMode mode, StopRule rule) {
    return z(new TableModel(TARGET, TOKENS + 2, true), source, mode, rule);
  }

  /** Chi-square in standard deviations from what it is expected to be. */
  private static double z(TargetModel target, DraftSource source, SpecMode mode, StopRule rule) {
    SpecOptions options = SpecOptions.of(mode, SAMPLER).withRule(rule).withGate(false);
    Text text = new Text(0);
    try (Speculation speculation = Speculation.of(target, source, options, null)) {
      speculation.generate(text, TOKENS, token -> true);
    }
    int[] tokens = text.toArray();
    int[][] counts = new int[V * V * V][V];
    for (int i = 3; i < tokens.length; i++) {
      counts[(tokens[i - 3] * V + tokens[i - 2]) * V + tokens[i - 1]][tokens[i]]++;
    }
    double chiSquare = 0;
    int freedom = 0;
    for (int before = 0; before < counts.length; before++) {
      int all = 0;
      for (int n : counts[before]) {
        all += n;
      }
      double[] p = TARGET.probabilities(before / V % V, before % V, TEMPERATURE);
      // Cells that expect few are one cell.
      double fewExpected = 0;
      double few = 0;
      int cells = 0;
      for (int token = 0; token < V; token++) {
        double expected = all * p[token];
        if (expected < 5) {
          fewExpected += expected;
          few += counts[before][token];
        } else {
          chiSquare += square(counts[before][token] - expected) / expected;
          cells++;
        }
      }
      if (fewExpected > 0) {
        chiSquare += square(few - fewExpected) / fewExpected;
        cells++;
      }
      freedom += Math.max(cells - 1, 0);
    }
    return (chiSquare - freedom) / Math.sqrt(2.0 * freedom);
  }

  private static double square(double x) {
    return x * x;
  }

  private static void assertLaw(DraftSource source, SpecMode mode, StopRule rule) {
    assertThat(z(source, mode, rule))
        .as("%s, %s, %s, seed 77", source.name(), mode, rule)
        .isBetween(-5.0, 5.0);
  }

  @Test
  void chains() {
    for (SpecMode mode : List.of(SpecMode.TOKEN, SpecMode.BLOCK)) {
      for (StopRule rule : RULES) {
        assertLaw(new TableDraft(NEAR), mode, rule);
      }
      assertLaw(new TableDraft(OPPOSED), mode, new StopRule.Confidence(0.35, 1, 6));
      assertLaw(new RandomDraft(5, V, false), mode, new StopRule.Constant(6));
      assertLaw(new NgramDraft(1, 6, 2), mode, new StopRule.Threshold(0.6, 1, 6));
    }
    assertLaw(new TableDraft(NEAR), SpecMode.EXACT, new StopRule.Cost(1, 6));
  }

  @Test
  void trees() {
    StopRule rule = new StopRule.Constant(6);
    assertLaw(new TreeTableDraft(NEAR, TREE, true), SpecMode.TOKEN, rule);
    assertLaw(new TreeTableDraft(OPPOSED, TREE, true), SpecMode.TOKEN, rule);
    assertLaw(new TreeTableDraft(NEAR, TREE, false), SpecMode.TOKEN, rule);
    assertLaw(new RandomDraft(6, V, true), SpecMode.TOKEN, rule);
    assertLaw(new TreeTableDraft(NEAR, TREE, false), SpecMode.EXACT, rule);
  }

  /** A source that writes over the rows that it drew from, as one that reuses its buffer would. */
  private record Forgetful(Table table, double factor) implements DraftSource {
    @Override
    public String name() {
      return "forgetful";
    }

    @Override
    public void propose(Text text, Draft draft) {
      new TableDraft(table).propose(text, draft);
      for (int node = 0; node < draft.count(); node++) {
        MemorySegment row = draft.logits(node);
        for (int i = 0; i < V; i++) {
          row.setAtIndex(JAVA_FLOAT, i, (float) (factor * row.getAtIndex(JAVA_FLOAT, i)));
        }
      }
    }
  }

  /** An engine that gives the row before the one that was asked for. */
  private static final class OffByOne implements TargetModel {
    private final TableModel model = new TableModel(TARGET, TOKENS + 2, false);
    private final MemorySegment shifted =
        java.lang.foreign.Arena.ofAuto().allocate(JAVA_FLOAT, 257L * V);

    @Override
    public int vocabulary() {
      return V;
    }

    @Override
    public int context() {
      return model.context();
    }

    @Override
    public int position() {
      return model.position();
    }

    @Override
    public MemorySegment read(int[] tokens, int[] parents, int count) {
      MemorySegment rows = model.read(tokens, parents, count);
      MemorySegment.copy(rows, 0, shifted, (long) V * Float.BYTES, rows.byteSize());
      MemorySegment.copy(rows, 0, shifted, 0, (long) V * Float.BYTES);
      return shifted;
    }

    @Override
    public void truncate(int length) {
      model.truncate(length);
    }
  }

  @Test
  void whatIsWrongIsSeen() {
    StopRule rule = new StopRule.Constant(3);
    for (SpecMode mode : List.of(SpecMode.TOKEN, SpecMode.BLOCK)) {
      assertThat(z(new Forgetful(NEAR, 0), mode, rule)).as("stale rows").isGreaterThan(20);
      assertThat(z(new Forgetful(NEAR, 2), mode, rule)).as("temperature").isGreaterThan(20);
      assertThat(z(new OffByOne(), new TableDraft(NEAR), mode, rule))
          .as("off by one")
          .isGreaterThan(20);
    }
  }
}
