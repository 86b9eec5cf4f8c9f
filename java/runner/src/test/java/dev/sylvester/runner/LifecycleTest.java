package dev.sylvester.runner;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

class LifecycleTest {
  private static long status(String field) throws IOException {
    return Files.readAllLines(Path.of("/proc/self/status")).stream()
        .filter(line -> line.startsWith(field + ":"))
        .mapToLong(line -> Long.parseLong(line.replaceAll("\\D+", "")))
        .findFirst()
        .orElseThrow();
  }

  /** Resident memory but for the Java heap, which grows and shrinks as it likes. */
  private static long nativeBytes() throws IOException {
    System.gc();
    long heap = ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getCommitted();
    return status("VmRSS") * 1024 - heap;
  }

  private static long count(Path folder) throws IOException {
    try (var entries = Files.list(folder)) {
      return entries.count();
    }
  }

  private static void cycle() {
    try (Model model = Model.load("gsm-mini-draft", ModelOptions.defaults().withThreads(2));
        Session session = model.newSession()) {
      session.append(model.tokenizer().encode("Ann has 3 coins.", true));
    }
  }

  /**
   * The C library keeps freed memory in an arena for each of several threads, tens of megabytes in
   * all; a thousand times the weights, the cache or the tokenizer would be many times that.
   */
  @Test
  void openingAndClosingKeepsMemoryFlat() throws IOException {
    for (int i = 0; i < 100; i++) {
      cycle();
    }
    long memory = nativeBytes();
    long files = count(Path.of("/proc/self/fd"));
    long threads = status("Threads");
    for (int i = 0; i < 1000; i++) {
      cycle();
    }
    assertThat(nativeBytes() - memory).isLessThan(100 << 20);
    assertThat(count(Path.of("/proc/self/fd"))).isLessThan(files + 50);
    assertThat(status("Threads")).isLessThan(threads + 50);
    assertThat(Files.readString(Path.of("/proc/self/maps"))).doesNotContain("gsm-mini/draft");
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
