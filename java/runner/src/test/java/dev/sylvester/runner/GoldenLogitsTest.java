package dev.sylvester.runner;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Logits against transformers in double precision. */
class GoldenLogitsTest {
  // A cache of 16-bit floats rounds keys and values to 11 bits, far more than the tolerance.
  private static final ModelOptions OPTIONS =
      ModelOptions.defaults().withThreads(2).withCache(CacheOptions.F32);

  private static float[][] logits(Path path, int[] tokens, ModelOptions options) {
    try (Model model = Model.load(path, options);
        Session session = model.newSession()) {
      return Rows.all(session, tokens);
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "llama-mha-untied",
        "llama-gqa-tied",
        "llama-gqa-f16",
        "llama-gqa-bf16",
        "llama-sharded",
        "llama-rope-linear",
        "llama-rope-llama3",
        "llama-rope-yarn",
        "mistral-window",
        "qwen2-bias",
        "qwen3-qk-norm",
        "dream",
        "llada"
      })
  void checkpoint(String name) throws IOException {
    Golden golden = Golden.read("checkpoints/" + name + "/reference.json");
    float[][] got = logits(golden.manifest().getParent(), golden.tokens(), OPTIONS);
    assertThat(Golden.error(got, golden.logits("logits"))).isLessThan(golden.tolerance());
  }

  /** Frequencies follow the context asked for: here as long as the text the reference saw. */
  @ParameterizedTest
  @ValueSource(strings = "llama-rope-dynamic")
  void dynamicScaling(String name) throws IOException {
    Golden golden = Golden.read("checkpoints/" + name + "/reference.json");
    int[] tokens = golden.tokens();
    float[][] got =
        logits(golden.manifest().getParent(), tokens, OPTIONS.withContext(tokens.length));
    assertThat(Golden.error(got, golden.logits("logits"))).isLessThan(golden.tolerance());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"llama-rope-freqs", "llama-rope-yarn", "qwen2", "qwen3", "dream", "llada"})
  void gguf(String name) throws IOException {
    Golden golden = Golden.read("gguf/" + name + ".json");
    Path file = golden.manifest().resolveSibling(name + ".gguf");
    float[][] got = logits(file, golden.tokens(), OPTIONS);
    assertThat(Golden.error(got, golden.logits("logits"))).isLessThan(golden.tolerance());
  }

  /**
   * Every block type, against exact arithmetic on gguf's own dequantisation. The kernels round
   * activations to a grid that is 256 times as fine as that of int8, whose error the vectors tell.
   */
  @ParameterizedTest
  @ValueSource(strings = {"llama-legacy", "llama-kquants"})
  void quantised(String name) throws IOException {
    Golden golden = Golden.read("gguf/" + name + ".json");
    Path file = golden.manifest().resolveSibling(name + ".gguf");
    float[][] got = logits(file, golden.tokens(), OPTIONS);
    double rounding = golden.json().get("int8_error").doubleValue() / 256;
    assertThat(Golden.error(got, golden.logits("logits")))
        .isLessThan(golden.tolerance() + rounding);
  }

  @ParameterizedTest
  @ValueSource(strings = {"target", "diffusion"})
  void gsmMini(String name) throws IOException {
    Golden golden = Golden.read("gsm-mini/" + name + ".json");
    Path folder = Golden.ROOT.resolve(golden.json().get("model").textValue());
    float[][] got = logits(folder, golden.tokens(), OPTIONS);
    assertThat(Golden.error(got, golden.logits("logits"))).isLessThan(golden.tolerance());
  }
}
