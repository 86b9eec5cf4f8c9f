package dev.sylvester.runner.layers;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;

/** Several texts in one pass, which share each read of the weights. */
public final class TextBatch {
  private TextBatch() {}

  /** Row i attends to what text i holds. */
  private record EachItsOwn(List<Evaluator> texts) implements Attention {
    @Override
    public boolean preRope() {
      return texts.getFirst().cache().preRope();
    }

    @Override
    public void attend(int layer, Scratch s, int row, int first, int rows) {
      for (int i = 0; i < texts.size(); i++) {
        texts.get(i).cache().attend(layer, s, i, texts.get(i).position(), 1);
      }
    }
  }

  /**
   * Appends one token to each text. Their adapters may differ; each gets the logits that it would
   * get alone.
   *
   * @param texts of one model with caches of one kind, none of them twice, none empty
   * @param tokens one for each
   */
  public static void append(List<Evaluator> texts, int[] tokens) {
    texts.forEach(Evaluator::settle);
    Evaluator first = texts.getFirst();
    Transformer transformer = first.transformer();
    int rows = texts.size();
    Evaluator.Logits logits = first.block(rows);
    Scratch s = first.scratch(rows);
    for (int row = 0; row < rows; row++) {
      s.ids.setAtIndex(ValueLayout.JAVA_INT, row, tokens[row]);
      s.positions.setAtIndex(ValueLayout.JAVA_INT, row, texts.get(row).position());
    }
    s.adaptersOfRows = texts.stream().map(Evaluator::adapters).toArray(AdapterSet[]::new);
    try {
      transformer.embed(s, rows);
      transformer.rotaryTable(s, rows);
      transformer.layers(new EachItsOwn(texts), s, rows);
      transformer.head(s, s.hidden, rows, logits.outputs());
    } catch (RuntimeException e) {
      texts.forEach(text -> text.cache().truncate(text.position()));
      throw e;
    } finally {
      s.adaptersOfRows = null;
    }
    long width = s.hiddenBytes;
    for (int row = 0; row < rows; row++) {
      MemorySegment own = logits.values().asSlice(row * first.rowBytes(), first.rowBytes());
      texts.get(row).accept(tokens[row], own, s.normed.asSlice(row * width, width));
    }
  }
}
