package dev.sylvester.runner;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Logits as arrays. */
final class Rows {
  private Rows() {}

  static float[] of(MemorySegment logits) {
    return logits.toArray(ValueLayout.JAVA_FLOAT);
  }

  /** Logits of every token, appended in one call. */
  static float[][] all(Session session, int[] tokens) {
    int vocab = session.model().config().vocabSize();
    int before = session.position();
    float[][] rows = new float[tokens.length][];
    session.append(
        tokens,
        (first, count, logits) -> {
          for (int i = 0; i < count; i++) {
            rows[first - before + i] =
                of(logits.asSlice((long) i * vocab * Float.BYTES, (long) vocab * Float.BYTES));
          }
        });
    return rows;
  }

  /** Logits of every token, appended one by one. */
  static float[][] oneByOne(Session session, int[] tokens) {
    float[][] rows = new float[tokens.length][];
    for (int i = 0; i < tokens.length; i++) {
      session.append(tokens[i]);
      rows[i] = of(session.logits());
    }
    return rows;
  }
}
