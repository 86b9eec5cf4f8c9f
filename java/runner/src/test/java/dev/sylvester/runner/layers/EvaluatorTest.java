package dev.sylvester.runner.layers;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.management.ThreadMXBean;
import dev.sylvester.kernels.DType;
import dev.sylvester.kernels.ThreadPool;
import dev.sylvester.runner.format.ModelFile;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class EvaluatorTest {
  private static final Path GOLDEN =
      Path.of(System.getProperty("sylvester.root"), "tests", "golden");

  private ModelFile file;
  private Arena arena;
  private ThreadPool pool;

  @BeforeEach
  void open() {
    // Mixed types: several matrices side by side.
    file = ModelFile.open(GOLDEN.resolve("gguf/llama-kquants.gguf"));
    arena = Arena.ofShared();
    pool = ThreadPool.of(2);
  }

  @AfterEach
  void close() {
    pool.close();
    arena.close();
    file.close();
  }

  private Evaluator evaluator(int context) {
    Weights weights = Weights.load(file, context, arena, pool);
    return TextCaches.floats(weights, context, pool, DType.F16).newText();
  }

  private int[] tokens(int count) {
    return new Random(7).ints(count, 0, file.config().vocabSize()).toArray();
  }

  private static float[] logits(Evaluator evaluator) {
    return evaluator.logits().toArray(ValueLayout.JAVA_FLOAT);
  }

  @Test
  void longTextsGoThroughInSeveralPasses() {
    int[] tokens = tokens(1100);
    try (Evaluator whole = evaluator(1100);
        Evaluator pieces = evaluator(1100)) {
      whole.append(tokens, 0, tokens.length);
      for (int i = 0; i < tokens.length; i += 100) {
        pieces.append(tokens, i, i + 100);
      }
      assertThat(logits(whole)).isEqualTo(logits(pieces));
      int[] positions = {0};
      whole.truncate(0);
      whole.append(
          tokens,
          (first, rows, logits) -> {
            assertThat(first).isEqualTo(positions[0]);
            positions[0] += rows;
          });
      assertThat(positions[0]).isEqualTo(tokens.length);
    }
  }

  @Test
  void refusesWhatDoesNotFit() {
    try (Evaluator evaluator = evaluator(20)) {
      int[] tokens = tokens(21);
      assertThatThrownBy(() -> evaluator.append(tokens, 0, 21))
          .hasMessage("21 tokens do not fit the context of 20, which holds 0 already");
      assertThatThrownBy(() -> evaluator.append(tokens, 3, 3))
          .isInstanceOf(IllegalArgumentException.class);
      evaluator.append(tokens, 0, 20);
      assertThatThrownBy(() -> evaluator.append(1))
          .hasMessage("1 tokens do not fit the context of 20, which holds 20 already");
      assertThatThrownBy(() -> evaluator.truncate(21)).isInstanceOf(IllegalArgumentException.class);
    }
  }

  @Test
  void aTokenOutsideTheVocabularyChangesNothing() {
    try (Evaluator evaluator = evaluator(20)) {
      evaluator.append(3);
      float[] before = logits(evaluator);
      assertThatThrownBy(() -> evaluator.append(file.config().vocabSize()))
          .hasMessageContaining("ids");
      assertThatThrownBy(() -> evaluator.append(new int[] {4, -1}, 0, 2))
          .hasMessageContaining("-1");
      assertThat(evaluator.position()).isEqualTo(1);
      assertThat(logits(evaluator)).isEqualTo(before);
    }
  }

  @Test
  void decodingAllocatesNothing() {
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    try (Evaluator evaluator = evaluator(2048)) {
      // The virtual machine itself allocates while call sites are linked and code is compiled.
      for (int i = 0; i < 1500; i++) {
        evaluator.append(i % 100);
      }
      long before = threads.getCurrentThreadAllocatedBytes();
      for (int i = 0; i < 500; i++) {
        evaluator.append(i % 100);
      }
      long bytes = threads.getCurrentThreadAllocatedBytes() - before;
      // Less than the smallest object for every step.
      assertThat(bytes).as("bytes in 500 steps").isLessThan(500 * 16 / 2);
    }
  }
}
