package dev.sylvester.runner;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.data.Offset.offset;

import dev.sylvester.runner.adapt.Merge;
import dev.sylvester.runner.format.GgufFile;
import dev.sylvester.runner.format.ModelFile;
import dev.sylvester.runner.format.SafetensorsFile;
import dev.sylvester.runner.format.Tensor;
import dev.sylvester.runner.format.TensorType;
import dev.sylvester.runner.hub.Progress;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Adapters merged into GGUF files, whose queries and keys have their rows in another order. */
class GgufMergeTest {
  private static final Path GOLDEN = Golden.ROOT.resolve("tests/golden");
  private static final Path CHECKPOINT = GOLDEN.resolve("checkpoints/llama-rope-yarn");
  private static final Path FLOATS = GOLDEN.resolve("gguf/llama-rope-yarn.gguf");
  // Two layers in which every old type of blocks occurs; 4 heads of 16, 2 of them for keys.
  private static final Path QUANTISED = GOLDEN.resolve("gguf/llama-legacy.gguf");
  private static final int HEAD = 16;
  private static final int RANK = 3;
  private static final ModelOptions OPTIONS =
      ModelOptions.defaults().withThreads(2).withCache(CacheOptions.F32);
  private static final int[] TOKENS = {5, 80, 33, 120, 7, 61, 200, 14};

  @TempDir private Path folder;

  private final Arena arena = Arena.ofShared();

  @AfterEach
  void free() {
    arena.close();
  }

  private SafetensorsFile.Floats random(long seed, long rows, long columns) {
    return PeftFiles.normal(arena, new Random(seed), 0, 0.2, rows, columns);
  }

  private Path adapter(String name, String config, Map<String, SafetensorsFile.Floats> tensors)
      throws IOException {
    Map<String, SafetensorsFile.Floats> prefixed = new LinkedHashMap<>();
    tensors.forEach((key, value) -> prefixed.put("base_model.model." + key, value));
    return PeftFiles.write(folder.resolve(name), config, prefixed);
  }

  /** alpha / r is 2. */
  private Path lora(String name, Path model, String... modules) throws IOException {
    Map<String, SafetensorsFile.Floats> tensors = new LinkedHashMap<>();
    try (ModelFile file = ModelFile.open(model)) {
      long seed = 1;
      for (String module : modules) {
        long[] size = file.find(module + ".weight").orElseThrow().shape();
        tensors.put(module + ".lora_A.weight", random(seed++, RANK, size[1]));
        tensors.put(module + ".lora_B.weight", random(seed++, size[0], RANK));
      }
    }
    return adapter(name, "{\"peft_type\": \"LORA\", \"r\": 3, \"lora_alpha\": 6}", tensors);
  }

  private Path merge(Path model, String name, List<Adapter> adapters) throws IOException {
    Path target = folder.resolve(name);
    try (ModelFile file = ModelFile.open(model)) {
      Merge.write(file, adapters, target, null, Progress.NONE);
    }
    return target;
  }

  private static float[][] logits(Path path, List<Adapter> adapters) {
    try (Model opened = Model.load(path, OPTIONS.withAdapters(adapters));
        Session session = opened.newSession()) {
      return Rows.all(session, TOKENS);
    }
  }

  @Test
  void logitsAreThoseOfTheAdaptersBeside() throws IOException {
    String layer = "model.layers.0.";
    Path lora =
        lora(
            "lora",
            FLOATS,
            layer + "self_attn.q_proj",
            layer + "self_attn.k_proj",
            layer + "self_attn.v_proj",
            layer + "mlp.down_proj");
    List<Adapter> adapters = List.of(new Adapter(lora, 0.5f), new Adapter(lora, 0.25f));
    float[][] want = logits(FLOATS, adapters);
    assertThat(Golden.error(logits(FLOATS, List.of()), want)).isGreaterThan(1e-2);
    Path merged = merge(FLOATS, "merged.gguf", adapters);
    assertThat(Golden.error(logits(merged, List.of()), want)).isLessThan(2e-5);
  }

  /** A Kronecker product cannot be put beside reordered rows, but be added to them. */
  @Test
  void logitsAreThoseOfTheMergedCheckpoint() throws IOException {
    Map<String, SafetensorsFile.Floats> tensors = new LinkedHashMap<>();
    for (String module : List.of("q_proj", "k_proj")) {
      String prefix = "model.layers.0.self_attn." + module;
      tensors.put(prefix + ".lokr_w1", random(1, 4, 6));
      tensors.put(prefix + ".lokr_w2", random(2, module.equals("q_proj") ? 16 : 8, 8));
    }
    Path lokr = adapter("lokr", "{\"peft_type\": \"LOKR\", \"r\": 2, \"alpha\": 2}", tensors);
    List<Adapter> adapters = List.of(new Adapter(lokr, 1));
    float[][] want = logits(CHECKPOINT, adapters);
    float[][] got = logits(merge(FLOATS, "merged.gguf", adapters), List.of());
    assertThat(Golden.error(logits(CHECKPOINT, List.of()), want)).isGreaterThan(1e-2);
    assertThat(Golden.error(got, want)).isLessThan(2e-4);
  }

  /** Layers that are halves already: nothing but the rounding of changed weights is new. */
  @Test
  void logitsAreThoseOfTheAdaptersBesideUpToTheRoundingOfHalves() throws IOException {
    Path lora =
        lora("lora", QUANTISED, "model.layers.1.self_attn.k_proj", "model.layers.0.mlp.up_proj");
    List<Adapter> adapters = List.of(new Adapter(lora, 1));
    float[][] want = logits(QUANTISED, adapters);
    assertThat(Golden.error(logits(QUANTISED, List.of()), want)).isGreaterThan(5e-2);
    Path merged = merge(QUANTISED, "merged.gguf", adapters);
    // Weights are off by 2^-12 of themselves in the mean.
    assertThat(Golden.error(logits(merged, List.of()), want)).isLessThan(2e-3);
  }

  @Test
  void changedWeightsAreTheRoundedSumAndAllElseStays() throws IOException {
    Set<String> changed =
        Set.of(
            "model.layers.0.self_attn.q_proj",
            "model.layers.0.self_attn.k_proj",
            "model.layers.0.self_attn.v_proj",
            "model.layers.1.mlp.gate_proj",
            "lm_head");
    Path lora = lora("lora", QUANTISED, changed.toArray(String[]::new));
    byte[] source = Files.readAllBytes(QUANTISED);
    Path target = merge(QUANTISED, "merged.gguf", List.of(new Adapter(lora, -0.75f)));
    assertThat(Files.readAllBytes(QUANTISED)).isEqualTo(source);
    Map<String, Tensor> factors =
        SafetensorsFile.open(lora.resolve("adapter_model.safetensors"), arena).tensors();
    try (GgufFile before = (GgufFile) ModelFile.open(QUANTISED);
        GgufFile after = (GgufFile) ModelFile.open(target)) {
      assertThat(after.metadata().keys()).isEqualTo(before.metadata().keys());
      assertThat(after.config()).usingRecursiveComparison().isEqualTo(before.config());
      for (Tensor tensor : before.tensors()) {
        Tensor got = after.find(tensor.name()).orElseThrow();
        String module = tensor.name().replace(".weight", "");
        if (!changed.contains(module)) {
          assertThat(got.type()).isEqualTo(tensor.type());
          assertThat(got.data().mismatch(tensor.data())).as(tensor.name()).isEqualTo(-1);
          continue;
        }
        TensorType type = tensor.type() == TensorType.BF16 ? TensorType.BF16 : TensorType.F16;
        assertThat(got.type()).as(tensor.name()).isEqualTo(type);
        Tensor a = factors.get("base_model.model." + module + ".lora_A.weight");
        Tensor b = factors.get("base_model.model." + module + ".lora_B.weight");
        assertSums(tensor, got, a, b, type == TensorType.BF16 ? 7 : 10);
      }
    }
  }

  /** Row 2 i + s of a head in the file is row i + s HEAD / 2 of transformers' for q and k. */
  private void assertSums(Tensor before, Tensor after, Tensor a, Tensor b, int bits) {
    int in = (int) before.shape()[1];
    float[] old = values(before);
    float[] got = values(after);
    float[] left = values(b);
    float[] right = values(a);
    boolean turned = before.name().contains("q_proj") || before.name().contains("k_proj");
    for (int i = 0; i < got.length; i++) {
      int row = i / in;
      int inHead = row % HEAD;
      int origin = turned ? row - inHead + inHead / 2 + inHead % 2 * (HEAD / 2) : row;
      double want = old[i];
      for (int k = 0; k < RANK; k++) {
        want += 2 * -0.75 * left[origin * RANK + k] * right[k * in + i % in];
      }
      // Half a unit of the last place, and the rounding of floats before it.
      double unit = Math.max(Math.scalb(1.0, Math.getExponent(want) - bits), 0x1p-24);
      assertThat((double) got[i]).as(after.name()).isCloseTo(want, offset(0.502 * unit));
    }
  }

  private float[] values(Tensor tensor) {
    MemorySegment values = arena.allocate(JAVA_FLOAT, tensor.elements());
    tensor.dtype().toFloat(tensor.data(), tensor.elements(), values);
    return values.toArray(JAVA_FLOAT);
  }

  @Test
  void textStaysTheSame() throws IOException {
    Path lora = lora("lora", QUANTISED, "model.layers.0.mlp.up_proj");
    Path target = merge(QUANTISED, "merged.gguf", List.of(new Adapter(lora, 1)));
    String text = "Ünï the cat 123";
    try (Model before = Model.load(QUANTISED, OPTIONS);
        Model after = Model.load(target, OPTIONS)) {
      assertThat(after.tokenizer().encode(text, true))
          .isEqualTo(before.tokenizer().encode(text, true));
    }
  }

  @Test
  void whatDoesNotFitLeavesNothing() throws IOException {
    Path lora = lora("lora", FLOATS, "model.layers.0.mlp.up_proj");
    Adapter huge = new Adapter(lora("huge", QUANTISED, "model.layers.0.mlp.down_proj"), 1e30f);
    assertThatThrownBy(() -> merge(QUANTISED, "merged.gguf", List.of(new Adapter(lora, 1))))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("module model.layers.0.mlp.up_proj is 64 x 48");
    assertThatThrownBy(() -> merge(QUANTISED, "merged.gguf", List.of(huge)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("down_proj.weight: element 0 with its change is no finite F16");
    try (var left = Files.list(folder)) {
      assertThat(left).noneMatch(path -> path.getFileName().toString().startsWith("merged"));
    }
  }
}
