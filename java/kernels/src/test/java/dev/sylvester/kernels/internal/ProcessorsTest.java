package dev.sylvester.kernels.internal;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ProcessorsTest {
  @TempDir Path system;

  @Test
  void hyperthreadsCountOnce() throws IOException {
    String[] siblings = {"0,4", "1,5", "2,6", "3,7", "0,4", "1,5", "2,6", "3,7"};
    for (int i = 0; i < siblings.length; i++) {
      Path topology = Files.createDirectories(system.resolve("cpu" + i + "/topology"));
      Files.writeString(topology.resolve("thread_siblings_list"), siblings[i] + "\n");
    }
    Files.createDirectories(system.resolve("cpufreq"));
    assertThat(Processors.usableCores(system, 8)).isEqualTo(4);
    assertThat(Processors.usableCores(system, 2)).as("a quota of two").isEqualTo(2);
  }

  @Test
  void withoutTopologyEveryProcessorCounts() {
    assertThat(Processors.usableCores(system, 6)).isEqualTo(6);
    assertThat(Processors.usableCores(system.resolve("missing"), 3)).isEqualTo(3);
  }
}
