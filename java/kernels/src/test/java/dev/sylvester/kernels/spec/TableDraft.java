package dev.sylvester.kernels.spec;

/** Draws a chain of candidates from a table. */
record TableDraft(Table table) implements DraftSource {
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
      before = last;
      last = draft.draw();
    }
  }
}
