package dev.sylvester.runner;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

class LifecycleTest {
  /** Resident memory but for the Java heap, which grows and shrinks as it likes. */
  private static long residentBytes() throws IOException {
    System.gc();
    long heap = ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getCommitted();
    return Files.readAllLines(Path.of("/proc/self/status")).stream()
            .filter(line -> line.startsWith("VmRSS:"))
            .mapToLong(line -> Long.parseLong(line.replaceAll("\\D+", "")) * 1024)
            .findFirst()
            .orElseThrow()
        - heap;
  }

  private static void cycle() {
    try (Model model = Model.load("gsm-mini-draft", ModelOptions.defaults().withThreads(2));
        Session session = model.newSession()) {
      session.append(model.tokenizer().encode("Ann has 3 coins.", true));
    }
  }

  /** One model is about 2 MB of weights, cache and tokenizer: a leak of all would be gigabytes. */
  @Test
  void openingAndClosingKeepsMemoryFlat() throws IOException {
    for (int i = 0; i < 100; i++) {
      cycle();
    }
    long before = residentBytes();
    for (int i = 0; i < 1000; i++) {
      cycle();
    }
    assertThat(residentBytes() - before).isLessThan(30 << 20);
  }

  @Test
  void closingTwiceAndUseAfterwards() {
    Model model = Model.load("gsm-mini-draft", ModelOptions.defaults());
    Session session = model.newSession();
    Session other = model.newSession();
    session.append(1);
    session.close();
    session.close();
    model.close();
    model.close();
    other.close();
    assertThatThrownBy(() -> other.append(1)).isInstanceOf(IllegalStateException.class);
    assertThatThrownBy(() -> Rows.of(session.logits())).isInstanceOf(IllegalStateException.class);
    assertThatThrownBy(model::newSession).isInstanceOf(IllegalStateException.class);
  }

  @Test
  void describesItself() {
    try (Model model = Model.load("gsm-mini-draft", ModelOptions.defaults())) {
      ModelDescription description = model.describe();
      assertThat(description.architecture()).isEqualTo("llama");
      assertThat(description.parameters()).isEqualTo(184_608);
      assertThat(description.tensorTypes()).containsOnlyKeys("F16").containsValue(11L);
      assertThat(description.context()).isEqualTo(512);
      // Keys and values of one layer, one head of 64, 2 bytes each.
      assertThat(description.cacheBytesPerToken()).isEqualTo(2 * 64 * 2);
    }
  }
}
