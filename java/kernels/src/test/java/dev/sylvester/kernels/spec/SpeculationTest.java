package dev.sylvester.kernels.spec;

import static org.assertj.core.api.Assertions.assertThat;

import dev.sylvester.kernels.Sampler;
import dev.sylvester.kernels.SamplerOptions;
import dev.sylvester.kernels.SpecMode;
import dev.sylvester.kernels.Workspace;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SpeculationTest {
  private static final int V = 12;
  private static final Table TARGET = Table.random(V, 1, 2);
  private static final Table DRAFT = TARGET.plus(Table.random(V, 2, 2), 0.6);
  private static final SamplerOptions HOT =
      SamplerOptions.GREEDY.withTemperature(0.9f).withSeed(42);

  /** Plain decoding: one row a token. */
  static int[] plain(Table table, SamplerOptions options, int[] prompt, int tokens) {
    Text text = new Text(prompt);
    try (Arena arena = Arena.ofConfined();
        Workspace workspace = new Workspace()) {
      Sampler sampler = Sampler.of(options, arena);
      MemorySegment row = arena.allocate(ValueLayout.JAVA_FLOAT, table.vocabulary());
      for (int i = 0; i < tokens; i++) {
        int before = text.length() > 1 ? text.get(text.length() - 2) : 0;
        table.row(before, text.last(), row, 0);
        text.append(
            sampler.sample(
                row,
                table.vocabulary(),
                text.memory(0),
                text.length(),
                null,
                null,
                0,
                text.length(),
                workspace));
      }
    }
    return text.toArray();
  }

  static int[] speculate(DraftSource source, SpecOptions options, int[] prompt, int tokens) {
    TableModel model = new TableModel(TARGET, 100_000, true);
    Text text = new Text(prompt);
    model.prompt(text);
    try (Speculation speculation = Speculation.of(model, source, options, null)) {
      int appended = speculation.generate(text, tokens, token -> true);
      assertThat(appended).isEqualTo(tokens);
      assertThat(model.position()).isEqualTo(text.length() - 1);
    }
    return text.toArray();
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 5, 8, 20})
  void exactGivesThePlainText(int length) {
    int[] prompt = {3, 1};
    SpecOptions options =
        SpecOptions.of(SpecMode.EXACT, HOT).withRule(new StopRule.Constant(length)).withGate(false);
    assertThat(speculate(new TableDraft(DRAFT), options, prompt, 2000))
        .isEqualTo(plain(TARGET, HOT, prompt, 2000));
  }
}
