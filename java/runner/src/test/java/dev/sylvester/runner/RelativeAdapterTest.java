package dev.sylvester.runner;

import static org.assertj.core.api.Assertions.assertThat;

import dev.sylvester.runner.adapt.Merge;
import dev.sylvester.runner.format.ModelFile;
import dev.sylvester.runner.format.SafetensorsFile;
import dev.sylvester.runner.format.Tensor;
import dev.sylvester.runner.hub.Progress;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** DoRA and PiSSA, whose change depends on the model's weights, beside these and merged. */
class RelativeAdapterTest {
  private static final Path CHECKPOINTS = Golden.ROOT.resolve("tests/golden/checkpoints");
  private static final Path GGUF = Golden.ROOT.resolve("tests/golden/gguf/llama-rope-yarn.gguf");
  private static final int[] TOKENS = {5, 80, 33, 120, 7, 61, 200, 14};
  private static final int RANK = 3;
  // Turned in GGUF files, biased in Qwen2, and added to the hidden state.
  private static final List<String> MODULES =
      List.of("self_attn.q_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.down_proj");

  @TempDir private Path folder;

  private final Arena arena = Arena.ofShared();

  @AfterEach
  void free() {
    arena.close();
  }

  private Path adapter(String name, Path model, boolean pissa, boolean dora) throws IOException {
    Map<String, Tensor> weights =
        SafetensorsFile.open(model.resolve("model.safetensors"), arena).tensors();
    Random random = new Random(4);
    Map<String, SafetensorsFile.Floats> tensors = new LinkedHashMap<>();
    for (String module : MODULES) {
      long[] size = weights.get("model.layers.0." + module + ".weight").shape();
      String prefix = "base_model.model.model.layers.0." + module;
      tensors.put(
          prefix + ".lora_A.weight", PeftFiles.normal(arena, random, 0, 0.2, RANK, size[1]));
      tensors.put(
          prefix + ".lora_B.weight", PeftFiles.normal(arena, random, 0, 0.2, size[0], RANK));
      if (dora) {
        tensors.put(
            prefix + ".lora_magnitude_vector", PeftFiles.normal(arena, random, 1, 0.3, size[0]));
      }
    }
    return PeftFiles.write(
        folder.resolve(name),
        "{\"peft_type\": \"LORA\", \"r\": 3, \"lora_alpha\": 6, \"use_dora\": %s, ".formatted(dora)
            + "\"init_lora_weights\": %s}".formatted(pissa ? "\"pissa\"" : "true"),
        tensors);
  }

  private static float[][] logits(Path path, List<Adapter> adapters) {
    ModelOptions options = ModelOptions.defaults().withThreads(2).withCache(CacheOptions.F32);
    try (Model opened = Model.load(path, options.withAdapters(adapters));
        Session session = opened.newSession()) {
      return Rows.all(session, TOKENS);
    }
  }

  @Test
  void areLikeMergedWeights() throws IOException {
    for (String name : List.of("llama-rope-yarn", "qwen2-bias")) {
      Path model = CHECKPOINTS.resolve(name);
      List<Adapter> adapters =
          List.of(
              new Adapter(adapter(name + "-dora", model, false, true), 0.75f),
              new Adapter(adapter(name + "-pissa", model, true, false), -0.5f),
              new Adapter(adapter(name + "-both", model, true, true), 0.25f));
      Path merged = folder.resolve(name);
      try (ModelFile file = ModelFile.open(model)) {
        assertThat(Merge.write(file, adapters, merged, null, Progress.NONE)).isEqualTo(4);
      }
      float[][] want = logits(merged, List.of());
      assertThat(Golden.error(logits(model, List.of()), want)).isGreaterThan(1e-2);
      assertThat(Golden.error(logits(model, adapters), want)).isLessThan(2e-5);
      if (name.startsWith("llama")) {
        assertThat(Golden.error(logits(GGUF, adapters), want)).isLessThan(2e-4);
      }
    }
  }
}
