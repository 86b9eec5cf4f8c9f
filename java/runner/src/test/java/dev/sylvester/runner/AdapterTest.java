package dev.sylvester.runner;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.sylvester.kernels.DType;
import dev.sylvester.runner.format.AdapterFolder;
import dev.sylvester.runner.format.SafetensorsFile;
import dev.sylvester.runner.format.Tensor;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Adapters beside a model's weights against the same adapters added to the weights. */
class AdapterTest {
  private static final Path CHECKPOINT =
      Golden.ROOT.resolve("tests/golden/checkpoints/llama-rope-yarn");
  // The same weights; rows of queries and keys in another order.
  private static final Path GGUF = Golden.ROOT.resolve("tests/golden/gguf/llama-rope-yarn.gguf");
  private static final ModelOptions OPTIONS =
      ModelOptions.defaults().withThreads(2).withCache(CacheOptions.F32);
  private static final int[] TOKENS = {5, 80, 33, 120, 7, 61, 200, 14};
  private static final String LORA =
      "{\"peft_type\": \"LORA\", \"r\": 3, \"lora_alpha\": 6, \"target_modules\": null}";
  private static final String LOKR = "{\"peft_type\": \"LOKR\", \"r\": 2, \"alpha\": 2}";

  @TempDir private Path folder;

  private final Arena arena = Arena.ofShared();
  private Map<String, Tensor> model;

  @BeforeEach
  void open() {
    model = SafetensorsFile.open(CHECKPOINT.resolve("model.safetensors"), arena).tensors();
  }

  @AfterEach
  void free() {
    arena.close();
  }

  private SafetensorsFile.Floats random(long seed, long rows, long columns) {
    return PeftFiles.normal(arena, new Random(seed), 0, 0.2, rows, columns);
  }

  private long[] shape(String module) {
    return model.get(module + ".weight").shape();
  }

  private Path adapter(String name, String config, Map<String, SafetensorsFile.Floats> tensors)
      throws IOException {
    return PeftFiles.write(folder.resolve(name), config, tensors);
  }

  private Path lora(String name, String... modules) throws IOException {
    Map<String, SafetensorsFile.Floats> tensors = new LinkedHashMap<>();
    long seed = 1;
    for (String module : modules) {
      String prefix = "base_model.model.model.layers.0." + module;
      long[] size = shape("model.layers.0." + module);
      tensors.put(prefix + ".lora_A.weight", random(seed++, 3, size[1]));
      tensors.put(prefix + ".lora_B.weight", random(seed++, size[0], 3));
    }
    return adapter(name, LORA, tensors);
  }

  private Path lokr(String name, String module) throws IOException {
    String prefix = "base_model.model.model.layers.0." + module;
    long[] size = shape("model.layers.0." + module);
    Map<String, SafetensorsFile.Floats> tensors = new LinkedHashMap<>();
    tensors.put(prefix + ".lokr_w1", random(50, 4, 2));
    tensors.put(prefix + ".lokr_w2_a", random(51, size[0] / 4, 2));
    tensors.put(prefix + ".lokr_w2_b", random(52, 2, size[1] / 2));
    return adapter(name, LOKR, tensors);
  }

  /** The checkpoint with the adapters added to its weights. */
  private Path merged(List<Adapter> adapters) throws IOException {
    Path made = Files.createDirectory(folder.resolve("merged"));
    for (String name : List.of("config.json", "tokenizer.json", "tokenizer_config.json")) {
      Files.copy(CHECKPOINT.resolve(name), made.resolve(name));
    }
    Map<String, SafetensorsFile.Floats> tensors = new LinkedHashMap<>();
    for (Tensor tensor : model.values()) {
      MemorySegment copy = arena.allocate(JAVA_FLOAT, tensor.elements());
      tensor.dtype().toFloat(tensor.data(), tensor.elements(), copy);
      for (Adapter adapter : adapters) {
        AdapterFolder.Module module =
            AdapterFolder.read(adapter.folder(), arena)
                .modules()
                .get(tensor.name().replace(".weight", ""));
        if (module != null) {
          double scale = module.scale() * adapter.scale();
          module.factors().writeDelta(scale, true, DType.F32, copy, tensor.shape()[1], null);
        }
      }
      tensors.put(tensor.name(), new SafetensorsFile.Floats(tensor.shape(), copy));
    }
    SafetensorsFile.write(made.resolve("model.safetensors"), tensors, Map.of());
    return made;
  }

  private static float[][] logits(Path path, List<Adapter> adapters) {
    try (Model opened = Model.load(path, OPTIONS.withAdapters(adapters));
        Session session = opened.newSession()) {
      return Rows.all(session, TOKENS);
    }
  }

  @Test
  void areLikeMergedWeights() throws IOException {
    Path first =
        lora("first", "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "mlp.down_proj");
    List<Adapter> adapters =
        List.of(
            new Adapter(first, 0.5f),
            new Adapter(lokr("second", "self_attn.o_proj"), -1),
            new Adapter(lokr("third", "mlp.up_proj"), 1));
    float[][] want = logits(merged(adapters), List.of());
    assertThat(Golden.error(logits(CHECKPOINT, List.of()), want)).isGreaterThan(1e-2);
    assertThat(Golden.error(logits(CHECKPOINT, adapters), want)).isLessThan(2e-5);
    assertThat(Golden.error(logits(GGUF, adapters), want)).isLessThan(2e-4);
  }

  @Test
  void ofScaleZeroChangeNothing() throws IOException {
    List<Adapter> off = List.of(new Adapter(lora("first", "mlp.gate_proj"), 0));
    assertThat(logits(CHECKPOINT, off)).isDeepEqualTo(logits(CHECKPOINT, List.of()));
  }

  @Test
  void unfitOnesAreNamed() throws IOException {
    Map<String, SafetensorsFile.Floats> tensors = new LinkedHashMap<>();
    String prefix = "base_model.model.model.layers.9.mlp.up_proj.";
    tensors.put(prefix + "lora_A.weight", random(1, 3, 8));
    tensors.put(prefix + "lora_B.weight", random(2, 8, 3));
    assertUnfit(
        CHECKPOINT,
        adapter("far", LORA, tensors),
        "module model.layers.9.mlp.up_proj is for a layer that the model does not have");
    tensors.clear();
    prefix = prefix.replace("9", "0");
    tensors.put(prefix + "lora_A.weight", random(1, 3, 8));
    tensors.put(prefix + "lora_B.weight", random(2, 8, 3));
    assertUnfit(
        CHECKPOINT,
        adapter("small", LORA, tensors),
        "module model.layers.0.mlp.up_proj is 8 x 8, but the model's layer is");
    assertUnfit(GGUF, lokr("turned", "self_attn.q_proj"), "rows cannot be reordered");
  }

  private static void assertUnfit(Path model, Path adapter, String problem) {
    ModelOptions options = OPTIONS.withAdapters(List.of(new Adapter(adapter, 1)));
    assertThatThrownBy(() -> Model.load(model, options).close())
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("adapter " + adapter + ": ")
        .hasMessageContaining(problem);
  }

  @Test
  void areParsed() {
    assertThat(Adapter.parse("a/b")).isEqualTo(new Adapter(Path.of("a/b"), 1));
    assertThat(Adapter.parse("a/b:-0.5")).isEqualTo(new Adapter(Path.of("a/b"), -0.5f));
    assertThat(Adapter.parse("a:b/c")).isEqualTo(new Adapter(Path.of("a:b/c"), 1));
    assertThatThrownBy(() -> Adapter.parse("a:NaN"))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("the scale of adapter a is NaN");
  }
}
