package dev.sylvester.runner.format;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** Replays the committed inputs of tests/fuzz. */
class FuzzCorpusTest {
  private static final Path CORPUS =
      Path.of(System.getProperty("sylvester.root"), "tests/fuzz/corpus");

  @Test
  void gguf() throws IOException {
    replay("gguf", HeaderFuzzer.Gguf::fuzzerTestOneInput);
  }

  @Test
  void safetensors() throws IOException {
    replay("safetensors", HeaderFuzzer.Safetensors::fuzzerTestOneInput);
  }

  @Test
  void config() throws IOException {
    replay("config", HeaderFuzzer.Config::fuzzerTestOneInput);
  }

  private static void replay(String target, Consumer<byte[]> fuzzer) throws IOException {
    List<Path> inputs;
    try (Stream<Path> files = Files.list(CORPUS.resolve(target))) {
      inputs = files.sorted().toList();
    }
    assertThat(inputs).isNotEmpty();
    for (Path input : inputs) {
      try {
        fuzzer.accept(Files.readAllBytes(input));
      } catch (RuntimeException | AssertionError e) {
        throw new AssertionError(input + ": " + e, e);
      }
    }
  }
}
