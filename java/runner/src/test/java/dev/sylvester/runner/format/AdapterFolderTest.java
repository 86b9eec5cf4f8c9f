package dev.sylvester.runner.format;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.data.Offset.offset;

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

  /** PEFT's get_delta_weight, or its merging where the model's weights count: make_adapters.py. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "lora",
        "lora-patterns",
        "lora-bf16",
        "lora-embedding",
        "lokr",
        "lokr-split",
        "lokr-both",
        "dora",
        "pissa",
        "pissa-dora",
        "pissa-converted"
      })
  void deltasArePefts(String name) {
    Path made = GOLDEN.resolve(name);
    assertDeltas(AdapterFolder.read(made, arena), made.resolve("reference.safetensors"));
  }

  /** LyCORIS's get_weight: tests/golden/make_lycoris.py. */
  @ParameterizedTest
  @ValueSource(strings = {"split", "both", "full"})
  void deltasAreThoseOfLycoris(String name) {
    Path made = GOLDEN.resolve("lycoris");
    assertDeltas(
        AdapterFolder.read(made.resolve(name + ".safetensors"), arena),
        made.resolve(name + "-reference.safetensors"));
  }

  private void assertDeltas(AdapterFolder adapter, Path file) {
    Map<String, Tensor> reference = SafetensorsFile.open(file, arena).tensors();
    Map<String, Tensor> base =
        SafetensorsFile.open(GOLDEN.resolve("base.safetensors"), arena).tensors();
    assertThat(adapter.modules().keySet()).isEqualTo(reference.keySet());
    reference.forEach(
        (module, want) -> {
          KronShape shape = adapter.modules().get(module).factors().shape();
          assertThat(new long[] {shape.out(), shape.in()}).isEqualTo(want.shape());
          MemorySegment weights =
              adapter.modules().get(module).relative()
                  ? base.get(module + ".weight").finiteFloats(arena)
                  : null;
          MemorySegment delta = arena.allocate(JAVA_FLOAT, want.elements());
          LayerChange.of(adapter, module, weights, arena, null).addTo(1, weights, delta, null);
          for (long i = 0; i < want.elements(); i++) {
            float expected = want.data().get(JAVA_FLOAT.withByteAlignment(1), i * Float.BYTES);
            assertThat(delta.getAtIndex(JAVA_FLOAT, i))
                .as("%s %s %d", file, module, i)
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
    assertRefused("lacks tensor 'base_model.model.layers.0.q_proj.lora_magnitude_vector'");
    config =
        "{\"peft_type\": \"LORA\", \"r\": 2, \"lora_alpha\": 4, \"init_lora_weights\": \"olora\"}";
    assertRefused("key 'init_lora_weights' is 'olora', expected a start from");
    config = config.replace("olora", "pissa_niter_4");
    assertRefused("key 'init_lora_weights' is 'pissa_niter_4'");
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

  private AdapterFolder readFile() {
    Path file = folder.resolve("lokr.safetensors");
    try {
      SafetensorsFile.write(file, tensors, Map.of());
    } catch (IOException e) {
      throw new AssertionError(e);
    }
    return AdapterFolder.read(file, arena);
  }

  private void assertFileRefused(String problem) {
    assertThatThrownBy(this::readFile)
        .isInstanceOf(ModelFormatException.class)
        .hasMessageContaining(problem)
        .hasMessageNotContaining("\n");
  }

  /** Files carry 1e10 as alpha where nothing scales. */
  @Test
  void lycorisScalesOnlySplitFactors() {
    String q = "lycoris_model_layers_3_self_attn_q_proj.";
    add(q + "lokr_w1", 2, 3);
    add(q + "lokr_w2", 4, 5);
    add(q + "alpha");
    tensors.get(q + "alpha").data().setAtIndex(JAVA_FLOAT, 0, 1e10f);
    Module module = readFile().modules().get("model.layers.3.self_attn.q_proj");
    assertThat(module.scale()).isEqualTo(1);
    assertThat(module.factors().shape()).isEqualTo(new KronShape(2, 3, 4, 5));
    tensors.remove(q + "lokr_w2");
    assertFileRefused("lacks tensor '" + q + "lokr_w2_a'");
    add(q + "lokr_w2_a", 4, 2);
    add(q + "lokr_w2_b", 2, 5);
    module = readFile().modules().get("model.layers.3.self_attn.q_proj");
    assertThat(module.scale()).isEqualTo(5e9f);
    add(q + "lokr_w2_b", 1, 5);
    assertFileRefused("lokr_w2_b' has shape [1, 5], expected [2, 5]");
    tensors.remove(q + "alpha");
    assertFileRefused("lacks tensor '" + q + "alpha'");
    add(q + "alpha");
    add(q + "lokr_w2_b", 2, 5);
    add(q + "dora_scale", 1, 15);
    assertFileRefused("has dora_scale: weights decomposed by LyCORIS are not supported");
    tensors.remove(q + "dora_scale");
    add(q + "lokr_t2", 2, 2);
    assertFileRefused("lokr_t2' is no part of LoKr by LyCORIS");
    tensors.clear();
    add("lora_unet_down_blocks_0.lokr_w1", 2, 3);
    assertFileRefused("module 'lora_unet_down_blocks_0' is for no layer of a decoder");
  }

  /** Rows whose changed weights are zero have no direction. */
  @Test
  void rowsWithoutNormAreNamed() {
    lora();
    add("base_model.model.layers.0.q_proj.lora_magnitude_vector", 5);
    config = "{\"peft_type\": \"LORA\", \"r\": 2, \"lora_alpha\": 4, \"use_dora\": true}";
    AdapterFolder adapter = read();
    MemorySegment weights = arena.allocate(JAVA_FLOAT, 30);
    weights.fill((byte) 1);
    weights.asSlice(3 * 24, 24).fill((byte) 0);
    assertThatThrownBy(() -> LayerChange.of(adapter, "layers.0.q_proj", weights, arena, null))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("module layers.0.q_proj is without a norm in row 3");
  }

  @Test
  void wrongEmbeddingsAreNamed() {
    String name = "base_model.model.model.embed_tokens.";
    add(name + "lora_embedding_A", 2, 7);
    assertRefused("lacks tensor '" + name + "lora_embedding_B'");
    add(name + "lora_embedding_B", 6, 3);
    assertRefused("lora_embedding_B' has shape [6, 3], expected [6, 2]");
    add(name + "lora_embedding_B", 6, 2);
    Module module = read().modules().get("model.embed_tokens");
    assertThat(module.embedding()).isTrue();
    assertThat(module.factors().shape()).isEqualTo(KronShape.lora(7, 6));
    add(name + "base_layer.weight", 8, 6);
    assertRefused("base_layer.weight' has shape [8, 6], expected [7, 6]");
    tensors.remove(name + "base_layer.weight");
    String plain = config;
    for (String key : new String[] {"use_dora", "ensure_weight_tying"}) {
      config = plain.replace("}", ", \"" + key + "\": true}");
      assertRefused("key '" + key + "' is true, expected false where the embedding");
    }
    config = plain.replace("}", ", \"init_lora_weights\": \"pissa\"}");
    assertRefused("key 'init_lora_weights' is 'pissa', expected another start where the embedding");
    config = plain.replace("}", ", \"modules_to_save\": [\"lm_head\"]}");
    assertRefused("key 'modules_to_save' is '[\"lm_head\"]', expected none");
    config = plain.replace("}", ", \"modules_to_save\": null}");
    assertThat(read().modules()).hasSize(1);
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
