package dev.sylvester.runner;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.sylvester.runner.adapt.Merge;
import dev.sylvester.runner.format.ModelFile;
import dev.sylvester.runner.format.SafetensorsFile;
import dev.sylvester.runner.format.Tensor;
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
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** LoRA of embeddings beside a model against the sum in double, written as another model. */
class EmbeddingAdapterTest {
  private static final Path CHECKPOINTS = Golden.ROOT.resolve("tests/golden/checkpoints");
  private static final Path TIED = CHECKPOINTS.resolve("llama-gqa-tied");
  private static final Path UNTIED = CHECKPOINTS.resolve("llama-mha-untied");
  private static final String EMBEDDING = "model.embed_tokens";
  private static final String HEAD = "lm_head";
  private static final int RANK = 3;
  private static final double SCALE = 2; // alpha / r
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
    return PeftFiles.normal(arena, new Random(seed), 0, 0.3, rows, columns);
  }

  private Map<String, Tensor> tensors(Path model) {
    return SafetensorsFile.open(model.resolve("model.safetensors"), arena).tensors();
  }

  /** A of rank x inputs and B of outputs x rank, as PEFT names those of the module. */
  private Map<String, SafetensorsFile.Floats> factors(String module, long[] shape) {
    String prefix = "base_model.model." + module;
    return module.equals(EMBEDDING)
        ? Map.of(
            prefix + ".lora_embedding_A", random(1, RANK, shape[0]),
            prefix + ".lora_embedding_B", random(2, shape[1], RANK))
        : Map.of(
            prefix + ".lora_A.weight", random(3, RANK, shape[1]),
            prefix + ".lora_B.weight", random(4, shape[0], RANK));
  }

  private Path adapter(String name, Path model, String... modules) throws IOException {
    long[] shape = tensors(model).get(EMBEDDING + ".weight").shape();
    Map<String, SafetensorsFile.Floats> all = new LinkedHashMap<>();
    for (String module : modules) {
      all.putAll(factors(module, shape));
    }
    return PeftFiles.write(
        folder.resolve(name), "{\"peft_type\": \"LORA\", \"r\": 3, \"lora_alpha\": 6}", all);
  }

  private SafetensorsFile.Floats floats(Tensor tensor) {
    MemorySegment floats = arena.allocate(JAVA_FLOAT, tensor.elements());
    tensor.dtype().toFloat(tensor.data(), tensor.elements(), floats);
    return new SafetensorsFile.Floats(tensor.shape(), floats);
  }

  /** W + factor delta in floats. */
  private SafetensorsFile.Floats changed(String module, Tensor weight, double factor) {
    Map<String, SafetensorsFile.Floats> factors = factors(module, weight.shape());
    boolean embedding = module.equals(EMBEDDING);
    String prefix = "base_model.model." + module;
    MemorySegment a =
        factors.get(prefix + (embedding ? ".lora_embedding_A" : ".lora_A.weight")).data();
    MemorySegment b =
        factors.get(prefix + (embedding ? ".lora_embedding_B" : ".lora_B.weight")).data();
    long rows = weight.shape()[0];
    long columns = weight.shape()[1];
    MemorySegment sum = floats(weight).data();
    for (long i = 0; i < rows; i++) {
      for (long j = 0; j < columns; j++) {
        double delta = 0;
        for (long k = 0; k < RANK; k++) {
          delta +=
              embedding
                  ? (double) a.getAtIndex(JAVA_FLOAT, k * rows + i)
                      * b.getAtIndex(JAVA_FLOAT, j * RANK + k)
                  : (double) b.getAtIndex(JAVA_FLOAT, i * RANK + k)
                      * a.getAtIndex(JAVA_FLOAT, k * columns + j);
        }
        long at = i * columns + j;
        double value = sum.getAtIndex(JAVA_FLOAT, at) + factor * SCALE * delta;
        sum.setAtIndex(JAVA_FLOAT, at, (float) value);
      }
    }
    return new SafetensorsFile.Floats(weight.shape(), sum);
  }

  /** The model with its own weights for embedding and head, of which some modules are changed. */
  private Path written(Path model, double factor, String... modules) throws IOException {
    Path made = Files.createDirectory(folder.resolve("written"));
    String config = Files.readString(model.resolve("config.json"));
    Files.writeString(
        made.resolve("config.json"),
        config.replace("\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false"));
    for (String name : List.of("tokenizer.json", "tokenizer_config.json")) {
      Files.copy(model.resolve(name), made.resolve(name));
    }
    Map<String, Tensor> before = new LinkedHashMap<>(tensors(model));
    before.putIfAbsent(HEAD + ".weight", before.get(EMBEDDING + ".weight"));
    Map<String, SafetensorsFile.Floats> after = new LinkedHashMap<>();
    before.forEach(
        (name, tensor) -> {
          String module = name.replace(".weight", "");
          after.put(
              name,
              List.of(modules).contains(module) ? changed(module, tensor, factor) : floats(tensor));
        });
    SafetensorsFile.write(made.resolve("model.safetensors"), after, Map.of());
    return made;
  }

  private static float[][] logits(Path path, Adapter... adapters) {
    try (Model opened = Model.load(path, OPTIONS.withAdapters(List.of(adapters)));
        Session session = opened.newSession()) {
      return Rows.all(session, TOKENS);
    }
  }

  private void assertBeside(Path model, String... modules) throws IOException {
    Path made = adapter("adapter", model, modules);
    float[][] want = logits(written(model, 0.5, modules));
    assertThat(Golden.error(logits(model), want)).isGreaterThan(1e-2);
    assertThat(Golden.error(logits(model, new Adapter(made, 0.5f)), want)).isLessThan(2e-5);
    Adapter[] twice = {new Adapter(made, 0.75f), new Adapter(made, -0.25f)};
    assertThat(Golden.error(logits(model, twice), want)).isLessThan(2e-5);
  }

  @Test
  void isAddedToRows() throws IOException {
    assertBeside(UNTIED, EMBEDDING);
  }

  /** As PEFT computes: the head has the weights, not the change. */
  @Test
  void leavesTheHeadThatHasItsWeights() throws IOException {
    assertBeside(TIED, EMBEDDING);
  }

  @Test
  void headsThatHaveTheEmbeddingsWeightsHaveTheirOwnChange() throws IOException {
    assertBeside(TIED, HEAD, EMBEDDING);
  }

  @Test
  void isMergedWhereTheHeadIsAnother() throws IOException {
    Path made = adapter("adapter", UNTIED, EMBEDDING, HEAD);
    Path target = folder.resolve("merged");
    try (ModelFile file = ModelFile.open(UNTIED)) {
      Merge.write(file, List.of(new Adapter(made, -0.5f)), target, null, Progress.NONE);
    }
    float[][] want = logits(written(UNTIED, -0.5, EMBEDDING, HEAD));
    assertThat(Golden.error(logits(target), want)).isLessThan(2e-5);
    Path tied = adapter("tied", TIED, EMBEDDING);
    try (ModelFile file = ModelFile.open(TIED)) {
      List<Adapter> adapters = List.of(new Adapter(tied, 1));
      assertThatThrownBy(
              () -> Merge.write(file, adapters, folder.resolve("no"), null, Progress.NONE))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("module model.embed_tokens is the embedding, whose weights");
    }
    assertThat(folder.resolve("no")).doesNotExist();
  }

  /** Texts of one pass, with the adapter, without, and with twice of it. */
  @Test
  void textsOfOnePassHaveTheirOwn() throws IOException {
    Path made = adapter("adapter", TIED, EMBEDDING);
    try (Model model = Model.load(TIED, OPTIONS)) {
      AdapterBank bank = new AdapterBank(model, 1 << 20);
      List<AdapterMix> mixes =
          List.of(
              bank.mix(List.of(new Adapter(made, 1))),
              AdapterMix.NONE,
              bank.mix(List.of(new Adapter(made, 1), new Adapter(made, 1))));
      try (Session first = session(model, mixes.get(0));
          Session second = session(model, mixes.get(1));
          Session third = session(model, mixes.get(2));
          Session alone = model.newSession()) {
        List<Session> together = List.of(first, second, third);
        model.appendEach(together, new int[] {9, 9, 9});
        for (int i = 0; i < mixes.size(); i++) {
          alone.adapt(mixes.get(i));
          alone.append(TOKENS);
          alone.append(9);
          assertThat(last(together.get(i))).as("text %d", i).isEqualTo(last(alone));
        }
        assertThat(last(first)).isNotEqualTo(last(second));
        assertThat(last(third)).isNotEqualTo(last(first));
      }
    }
  }

  private static Session session(Model model, AdapterMix mix) {
    Session session = model.newSession();
    session.adapt(mix);
    session.append(TOKENS);
    return session;
  }

  private static float[] last(Session session) {
    return session.logits().toArray(JAVA_FLOAT);
  }

  @Test
  void unfitOnesAreNamed() throws IOException {
    Path made = adapter("adapter", UNTIED, EMBEDDING);
    Map<String, SafetensorsFile.Floats> small = factors(EMBEDDING, new long[] {17, 8});
    SafetensorsFile.write(made.resolve("adapter_model.safetensors"), small, Map.of());
    assertThatThrownBy(() -> logits(UNTIED, new Adapter(made, 1)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("module model.embed_tokens is 17 x 8, but the model's layer is");
    Map<String, SafetensorsFile.Floats> linear = new LinkedHashMap<>();
    String prefix = "base_model.model." + EMBEDDING;
    linear.put(prefix + ".lora_A.weight", random(1, RANK, 8));
    linear.put(prefix + ".lora_B.weight", random(2, 17, RANK));
    SafetensorsFile.write(made.resolve("adapter_model.safetensors"), linear, Map.of());
    assertThatThrownBy(() -> logits(TIED, new Adapter(made, 1)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("module model.embed_tokens is for a layer that the model does not");
  }
}
