package dev.sylvester.runner;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.data.Offset.offset;

import dev.sylvester.kernels.KronShape;
import dev.sylvester.runner.adapt.Blocks;
import dev.sylvester.runner.adapt.LinearLayers;
import dev.sylvester.runner.adapt.PrincipalTerms;
import dev.sylvester.runner.format.AdapterFolder;
import dev.sylvester.runner.format.ModelFile;
import dev.sylvester.runner.hub.Progress;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A base and the adapter that decomposition makes, against the fine-tuned model. */
class DecomposedAdapterTest {
  private static final Path BASE = Golden.ROOT.resolve("tests/golden/checkpoints/llama-rope-yarn");
  private static final Path GGUF = Golden.ROOT.resolve("tests/golden/gguf/llama-rope-yarn.gguf");
  private static final String QUERIES = "model.layers.0.self_attn.q_proj";
  private static final String UP = "model.layers.0.mlp.up_proj";
  private static final int[] TOKENS = {5, 80, 33, 120, 7, 61, 200, 14};

  @TempDir private Path folder;

  private final Arena arena = Arena.ofShared();
  private Path tuned;

  @BeforeEach
  void tune() throws IOException {
    // As balanced products of 64 x 48 are.
    Tuned.Change queries = Tuned.kronecker(20, 8, 6, 8, 8);
    Tuned.Change up = Tuned.kronecker(30, 8, 6, 8, 8);
    tuned = Files.createDirectory(folder.resolve("tuned"));
    Tuned.write(BASE, tuned, Map.of(QUERIES, queries, UP, up));
  }

  @AfterEach
  void free() {
    arena.close();
  }

  private PrincipalTerms decompose(Function<LinearLayers.Layer, KronShape> shape, long budget) {
    try (ModelFile model = ModelFile.open(tuned);
        ModelFile base = ModelFile.open(BASE)) {
      LinearLayers change = LinearLayers.difference(model, base);
      return PrincipalTerms.of(change, shape, budget, arena, null, Progress.NONE);
    }
  }

  private static float[][] logits(Path path, Adapter... adapters) {
    ModelOptions options = ModelOptions.defaults().withThreads(2).withCache(CacheOptions.F32);
    try (Model opened = Model.load(path, options.withAdapters(List.of(adapters)));
        Session session = opened.newSession()) {
      return Rows.all(session, TOKENS);
    }
  }

  @Test
  void sumsOfKroneckerProductsAreTheFineTunedModel() throws IOException {
    PrincipalTerms terms = decompose(Blocks.BALANCED::shape, 250);
    assertThat(terms.modules()).containsOnlyKeys(QUERIES, UP);
    assertThat(terms.parameters()).isEqualTo(2 * (48 + 64));
    assertThat(terms.energy()).isCloseTo(1, offset(1e-6));
    Path file = folder.resolve("terms.safetensors");
    AdapterFolder.writeKron(file, terms.modules());
    float[][] want = logits(tuned);
    assertThat(Golden.error(logits(BASE), want)).isGreaterThan(1e-2);
    assertThat(Golden.error(logits(BASE, new Adapter(file, 1)), want)).isLessThan(2e-5);
    assertThat(Golden.error(logits(tuned, new Adapter(file, -1)), logits(BASE))).isLessThan(2e-5);
    // The same terms, the same bytes; what rounding left is not worth a term.
    Path again = folder.resolve("again.safetensors");
    AdapterFolder.writeKron(again, decompose(Blocks.BALANCED::shape, 1 << 20).modules());
    assertThat(Files.mismatch(file, again)).isEqualTo(-1);
  }

  @Test
  void aLoraOfFullRankIsTheFineTunedModel() throws IOException {
    PrincipalTerms terms = decompose(PrincipalTerms::lora, 1 << 20);
    assertThat(terms.modules()).containsOnlyKeys(QUERIES, UP);
    Path lora = folder.resolve("lora");
    AdapterFolder.writeLora(lora, terms.modules());
    float[][] want = logits(tuned);
    assertThat(Golden.error(logits(BASE, new Adapter(lora, 1)), want)).isLessThan(2e-5);
    assertThat(Golden.error(logits(GGUF, new Adapter(lora, 1)), want)).isLessThan(2e-4);
    assertThatThrownBy(() -> AdapterFolder.writeLora(lora, terms.modules()))
        .isInstanceOf(FileAlreadyExistsException.class);
    assertThatThrownBy(
            () ->
                AdapterFolder.writeLora(
                    folder.resolve("kron"), decompose(Blocks.BALANCED::shape, 250).modules()))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("module " + QUERIES + " is no LoRA");
    try (var left = Files.list(folder)) {
      assertThat(left).containsExactlyInAnyOrder(tuned, lora);
    }
  }

  /** Ranks differ, so that rank_pattern and alpha_pattern are needed. */
  @Test
  void smallBudgetsHoldLess() throws IOException {
    PrincipalTerms small = decompose(PrincipalTerms::lora, 5 * 112);
    PrincipalTerms large = decompose(PrincipalTerms::lora, 20 * 112);
    assertThat(small.parameters()).isEqualTo(5 * 112);
    assertThat(small.energy()).isBetween(0.1, large.energy() - 0.1);
    assertThat(small.modules().values().stream().map(f -> f.terms()).distinct()).hasSize(2);
    Path lora = folder.resolve("lora");
    AdapterFolder.writeLora(lora, small.modules());
    AdapterFolder read = AdapterFolder.read(lora, arena);
    small
        .modules()
        .forEach(
            (name, factors) -> {
              AdapterFolder.Module module = read.modules().get(name);
              assertThat(module.scale()).isEqualTo(1);
              assertThat(module.factors().u().mismatch(factors.u())).isEqualTo(-1);
              assertThat(module.factors().v().mismatch(factors.v())).isEqualTo(-1);
            });
    assertThatThrownBy(() -> decompose(Blocks.BALANCED::shape, 87))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("a budget of 87 parameters holds no term: one takes 88 or more");
    tuned = BASE;
    assertThatThrownBy(() -> decompose(PrincipalTerms::lora, 1000))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("all weights are zero");
  }
}
