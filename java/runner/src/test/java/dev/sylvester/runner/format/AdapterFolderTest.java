package dev.sylvester.runner.format;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.data.Offset.offset;

import dev.sylvester.kernels.DType;
import dev.sylvester.kernels.KronShape;
import dev.sylvester.runner.format.AdapterFolder.Module;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class AdapterFolderTest {
  private static final Path GOLDEN =
      Path.of(System.getProperty("sylvester.root"), "tests/golden/adapters");

  private final Arena arena = Arena.ofShared();

  @TempDir private Path folder;

  @AfterEach
  void free() {
    arena.close();
  }

  /** PEFT's get_delta_weight: tests/golden/make_adapters.py. */
  @ParameterizedTest
  @ValueSource(strings = {"lora", "lora-patterns", "lora-bf16", "lokr", "lokr-split", "lokr-both"})
  void deltasArePefts(String name) {
    AdapterFolder adapter = AdapterFolder.read(GOLDEN.resolve(name), arena);
    Map<String, Tensor> reference =
        SafetensorsFile.open(GOLDEN.resolve(name).resolve("reference.safetensors"), arena)
            .tensors();
    assertThat(adapter.modules().keySet()).isEqualTo(reference.keySet());
    reference.forEach(
        (module, want) -> {
          Module got = adapter.modules().get(module);
          KronShape shape = got.factors().shape();
          assertThat(new long[] {shape.out(), shape.in()}).isEqualTo(want.shape());
          MemorySegment delta = arena.allocate(JAVA_FLOAT, want.elements());
          got.factors().writeDelta(got.scale(), false, DType.F32, delta, shape.in(), null);
          for (long i = 0; i < want.elements(); i++) {
            float expected = want.data().get(JAVA_FLOAT.withByteAlignment(1), i * Float.BYTES);
            assertThat(delta.getAtIndex(JAVA_FLOAT, i))
                .as("%s %s %d", name, module, i)
                .isCloseTo(expected, offset(1e-6f));
          }
        });
  }

  private final Map<String, SafetensorsFile.Floats> tensors = new LinkedHashMap<>();
  private String config = "{\"peft_type\": \"LORA\", \"r\": 2, \"lora_alpha\": 4}";

  private void add(String name, long... shape) {
    long elements = 1;
    for (long size : shape) {
      elements *= size;
    }
    MemorySegment data = arena.allocate(JAVA_FLOAT, elements);
    data.setAtIndex(JAVA_FLOAT, 0, 1);
    tensors.put(name, new SafetensorsFile.Floats(shape, data));
  }

  private void lora() {
    add("base_model.model.layers.0.q_proj.lora_A.weight", 2, 6);
    add("base_model.model.layers.0.q_proj.lora_B.weight", 5, 2);
  }

  private AdapterFolder read() {
    try {
      Files.writeString(folder.resolve("adapter_config.json"), config);
      SafetensorsFile.write(folder.resolve("adapter_model.safetensors"), tensors, Map.of());
    } catch (IOException e) {
      throw new AssertionError(e);
    }
    return AdapterFolder.read(folder, arena);
  }

  private void assertRefused(String problem) {
    assertThatThrownBy(this::read)
        .isInstanceOf(ModelFormatException.class)
        .hasMessageContaining(problem)
        .hasMessageNotContaining("\n");
  }

  @Test
  void smallFolderIsRead() {
    lora();
    Module module = read().modules().get("layers.0.q_proj");
    assertThat(module.scale()).isEqualTo(2);
    assertThat(module.factors().shape()).isEqualTo(KronShape.lora(5, 6));
    config = config.replace("4}", "4.5, \"alpha_pattern\": {\"k_proj\": 9, \"layers.*proj\": 3}}");
    assertThat(read().modules().get("layers.0.q_proj").scale()).isEqualTo(1.5f);
  }

  @Test
  void wrongSettingsAreNamed() {
    lora();
    config = "{\"peft_type\": \"IA3\"}";
    assertRefused("key 'peft_type' is 'IA3', expected LORA or LOKR");
    config = "{\"peft_type\": \"LORA\", \"r\": 2, \"lora_alpha\": 4, \"use_dora\": true}";
    assertRefused("key 'use_dora' is true, expected false: DoRA is not supported");
    config = "{\"peft_type\": \"LORA\", \"lora_alpha\": 4}";
    assertRefused("key 'r' is missing");
    config = "{\"peft_type\": \"LORA\", \"r\": 2.5, \"lora_alpha\": 4}";
    assertRefused("key 'r' is 2.5, expected a whole number");
    config = "{\"peft_type\": \"LORA\", \"r\": 2, \"lora_alpha\": -4}";
    assertRefused("key 'lora_alpha' is -4.0");
    config = "{\"peft_type\": \"LORA\", \"r\": 2, \"lora_alpha\": 1e60}";
    assertRefused("has the scale");
    config = "{\"peft_type\": \"LORA\", \"r\": 2, \"lora_alpha\": 4, \"rank_pattern\": {\"(\": 1}}";
    assertRefused("expected a regular expression");
  }

  @Test
  void wrongTensorsAreNamed() {
    assertRefused("has no tensors");
    lora();
    config = config.replace("2,", "3,");
    assertRefused("tensor 'base_model.model.layers.0.q_proj.lora_A.weight' has shape [2, 6]");
    config = config.replace("3,", "2,");
    tensors.remove("base_model.model.layers.0.q_proj.lora_B.weight");
    assertRefused("lacks tensor 'base_model.model.layers.0.q_proj.lora_B.weight'");
    lora();
    add("base_model.model.layers.0.q_proj.lora_magnitude_vector", 5);
    assertRefused("lora_magnitude_vector' is no part of LORA");
    tensors.clear();
    add("base_model.model.layers.0.q_proj.lora_A.weight", 2, 6);
    add("base_model.model.layers.0.q_proj.lora_B.weight", 5, 2, 1);
    assertRefused("lora_B.weight' has shape [5, 2, 1], expected a matrix");
    tensors.clear();
    lora();
    tensors
        .get("base_model.model.layers.0.q_proj.lora_B.weight")
        .data()
        .setAtIndex(JAVA_FLOAT, 3, Float.NaN);
    assertRefused("lora_B.weight' has the value NaN");
    tensors.clear();
    config = "{\"peft_type\": \"LOKR\", \"r\": 2, \"alpha\": 4}";
    add("base_model.model.q_proj.lokr_w1", 2, 3);
    add("base_model.model.q_proj.lokr_w2_a", 4, 2);
    assertRefused("lacks tensor 'base_model.model.q_proj.lokr_w2_b'");
    add("base_model.model.q_proj.lokr_w2_b", 1, 5);
    assertRefused("lokr_w2_b' has shape [1, 5], expected [2, 5]");
    add("base_model.model.q_proj.lokr_w2_b", 2, 5);
    add("base_model.model.q_proj.lokr_t2", 2, 2, 3, 3);
    assertRefused("lokr_t2' is no part of LOKR");
  }
}
