package dev.sylvester.runner.format;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.sylvester.kernels.KronShape;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.LongStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class KronFileTest {
  @TempDir private Path folder;

  private final Arena arena = Arena.ofShared();
  private final Map<String, SafetensorsFile.Floats> tensors = new LinkedHashMap<>();
  private final Map<String, String> metadata = new LinkedHashMap<>();

  @AfterEach
  void free() {
    arena.close();
  }

  private MemorySegment add(String name, long... shape) {
    long elements = LongStream.of(shape).reduce(1, (a, b) -> a * b);
    MemorySegment data = arena.allocate(JAVA_FLOAT, elements);
    tensors.put(name, new SafetensorsFile.Floats(shape, data));
    return data;
  }

  private AdapterFolder read() {
    Path file = folder.resolve("kron.safetensors");
    try {
      SafetensorsFile.write(file, tensors, metadata);
    } catch (IOException e) {
      throw new AssertionError(e);
    }
    return AdapterFolder.read(file, arena);
  }

  private void assertRefused(String problem) {
    assertThatThrownBy(this::read)
        .isInstanceOf(ModelFormatException.class)
        .hasMessageContaining(problem)
        .hasMessageNotContaining("\n");
  }

  @Test
  void wrongOnesAreNamed() {
    MemorySegment u = add("q_proj.kron_u", 2, 3, 4);
    add("q_proj.kron_v", 2, 5, 6);
    assertRefused("its format is '', version '', expected sylvester-kron, version 1");
    metadata.put("format", "sylvester-kron");
    metadata.put("version", "2");
    assertRefused("version '2'");
    metadata.put("version", "1");
    AdapterFolder.Module module = read().modules().get("q_proj");
    assertThat(module.factors().shape()).isEqualTo(new KronShape(3, 4, 5, 6));
    assertThat(module.factors().terms()).isEqualTo(2);
    assertThat(module.scale()).isEqualTo(1);

    u.setAtIndex(JAVA_FLOAT, 23, Float.POSITIVE_INFINITY);
    assertRefused("tensor 'q_proj.kron_u' has the value Infinity");
    u.setAtIndex(JAVA_FLOAT, 23, 0);
    add("q_proj.kron_v", 3, 5, 6);
    assertRefused("tensor 'q_proj.kron_v' has shape [3, 5, 6], expected [2, 5, 6]");
    add("q_proj.kron_v", 2, 30);
    assertRefused("tensor 'q_proj.kron_v' has shape [2, 30], expected terms, rows, columns");
    add("q_proj.kron_v", 0, 5, 6);
    assertRefused("tensor 'q_proj.kron_v' has shape [0, 5, 6]");
    tensors.remove("q_proj.kron_v");
    assertRefused("tensor 'q_proj.kron_u' lacks its .kron_v");
    tensors.clear();
    add("k_proj.kron_v", 2, 5, 6);
    assertRefused("tensor 'k_proj.kron_v' lacks its .kron_u");
    tensors.clear();
    add("k_proj.weight", 2, 5);
    assertRefused("tensor 'k_proj.weight' is no part of sylvester-kron");
    tensors.clear();
    assertRefused("has no tensors");
  }
}
