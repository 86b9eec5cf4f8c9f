package dev.sylvester.kernels.spec;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static org.assertj.core.api.Assertions.assertThat;

import dev.sylvester.kernels.Sampler;
import dev.sylvester.kernels.Workspace;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Map;

/** Texts of a table with and without speculation. */
record Decoding(Table table, int[] prompt, int tokens) {
  /** One row a token, and the library's sampler. */
  int[] plain(SpecOptions options) {
    Text text = new Text(prompt);
    try (Arena arena = Arena.ofConfined();
        Workspace workspace = new Workspace()) {
      Sampler sampler = Sampler.of(options.sampler(), arena);
      MemorySegment row = arena.allocate(JAVA_FLOAT, table.vocabulary());
      int biases = options.bias().size();
      MemorySegment ids = arena.allocate(JAVA_INT, biases);
      MemorySegment values = arena.allocate(JAVA_FLOAT, biases);
      int at = 0;
      for (Map.Entry<Integer, Float> bias : options.bias().entrySet()) {
        ids.setAtIndex(JAVA_INT, at, bias.getKey());
        values.setAtIndex(JAVA_FLOAT, at++, bias.getValue());
      }
      for (int i = 0; i < tokens; i++) {
        int length = text.length();
        table.row(length > 1 ? text.get(length - 2) : 0, text.last(), row, 0);
        MemorySegment history = arena.allocateFrom(JAVA_INT, text.toArray());
        text.append(
            sampler.sample(
                row, table.vocabulary(), history, length, ids, values, biases, length, workspace));
        if (options.endTokens().contains(text.last())) {
          break;
        }
      }
    }
    return text.toArray();
  }

  int[] speculative(DraftSource source, SpecOptions options) {
    TableModel model = new TableModel(table, prompt.length + tokens, true);
    Text text = new Text(prompt);
    model.prompt(text);
    try (Speculation speculation = Speculation.of(model, source, options, null)) {
      int appended = speculation.generate(text, tokens, token -> true);
      assertThat(text.length()).isEqualTo(prompt.length + appended);
      assertThat(model.position()).isEqualTo(text.length() - 1);
    }
    return text.toArray();
  }
}
