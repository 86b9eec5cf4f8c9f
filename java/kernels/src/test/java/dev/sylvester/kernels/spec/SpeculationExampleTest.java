package dev.sylvester.kernels.spec;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.assertj.core.api.Assertions.assertThat;

import dev.sylvester.kernels.SamplerOptions;
import dev.sylvester.kernels.SpecMode;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

/** How another engine speculates: logits in its own arrays, a draft that looks into the text. */
class SpeculationExampleTest {
  private static final int VOCABULARY = 32;

  /** The engine: logits of the next token from the last four, in a float array. */
  private static final class Engine implements TargetModel {
    private final int[] read = new int[1000];
    private final MemorySegment rows = Arena.ofAuto().allocate(JAVA_FLOAT, 256L * VOCABULARY);
    private int position;
    int passes;

    private float[] next() {
      float[] logits = new float[VOCABULARY];
      int hash = Arrays.hashCode(Arrays.copyOfRange(read, Math.max(0, position - 4), position));
      logits[Math.floorMod(hash, 3) + read[position - 1] % 20] = 3;
      logits[Math.floorMod(hash, VOCABULARY)] += 2;
      return logits;
    }

    @Override
    public int vocabulary() {
      return VOCABULARY;
    }

    @Override
    public int context() {
      return read.length;
    }

    @Override
    public int position() {
      return position;
    }

    @Override
    public MemorySegment read(int[] tokens, int[] parents, int count) {
      passes++;
      for (int i = 0; i < count; i++) {
        read[position++] = tokens[i];
        long row = (long) i * VOCABULARY * Float.BYTES;
        MemorySegment.copy(next(), 0, rows, JAVA_FLOAT, row, VOCABULARY);
      }
      return rows;
    }

    @Override
    public void truncate(int length) {
      position = length;
    }
  }

  private static int[] text(DraftSource source, Engine engine) {
    SpecOptions options =
        SpecOptions.of(SpecMode.EXACT, SamplerOptions.GREEDY.withTemperature(0.5f).withSeed(7))
            .withRule(new StopRule.Constant(6))
            .withGate(false);
    Text text = new Text(1, 2, 3, 4, 1, 2, 3);
    engine.read(text.toArray(), null, text.length() - 1); // all but the last token
    try (Speculation speculation = Speculation.of(engine, source, options, null)) {
      speculation.generate(text, 300, token -> true);
    }
    return text.toArray();
  }

  @Test
  void theTextIsTheSameInFewerPasses() {
    Engine plain = new Engine();
    Engine speculating = new Engine();
    DraftSource nothing =
        new DraftSource() {
          @Override
          public String name() {
            return "nothing";
          }

          @Override
          public void propose(Text text, Draft draft) {}
        };
    assertThat(text(new NgramDraft(), speculating)).isEqualTo(text(nothing, plain));
    assertThat(plain.passes).isEqualTo(301);
    assertThat(speculating.passes).isLessThan(280);
  }
}
