package dev.sylvester.kernels.spec;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** Draws a chain of candidates from a table; its hidden state is what the predictor shall say. */
final class TableDraft implements DraftSource {
  private final Table table;
  private final MemorySegment hidden = Arena.ofAuto().allocate(JAVA_FLOAT);
  float prediction = 0.8f;

  TableDraft(Table table) {
    this.table = table;
  }

  @Override
  public String name() {
    return "table";
  }

  @Override
  public void propose(Text text, Draft draft) {
    int before = text.length() > 1 ? text.get(text.length() - 2) : 0;
    int last = text.last();
    while (draft.wanted()) {
      table.row(before, last, draft.logits(), 0);
      hidden.set(JAVA_FLOAT, 0, prediction);
      draft.hidden(hidden);
      before = last;
      last = draft.draw();
    }
  }
}
