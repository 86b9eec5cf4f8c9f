package dev.sylvester.runner.adapt;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.data.Offset.offset;

import dev.sylvester.kernels.KronShape;
import dev.sylvester.runner.Tuned;
import dev.sylvester.runner.adapt.Spectrum.Kind;
import dev.sylvester.runner.format.ModelFile;
import dev.sylvester.runner.format.ModelFormatException;
import dev.sylvester.runner.hub.Progress;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Spectra of changes whose terms are known. */
class SpectrumTest {
  private static final Path GOLDEN = Path.of(System.getProperty("sylvester.root"), "tests/golden");
  private static final Path CHECKPOINT = GOLDEN.resolve("checkpoints/llama-rope-yarn");
  // The same weights; rows of queries and keys in another order.
  private static final Path GGUF = GOLDEN.resolve("gguf/llama-rope-yarn.gguf");

  @TempDir private Path folder;

  private Path changed(String layer, Tuned.Change change) throws IOException {
    return Tuned.write(CHECKPOINT, folder, Map.of(layer, change));
  }

  private static Spectrum spectrum(Path model, Path base, Blocks blocks) {
    try (ModelFile opened = ModelFile.open(model);
        ModelFile before = ModelFile.open(base)) {
      return Spectrum.of(LinearLayers.difference(opened, before), blocks, null, Progress.NONE);
    }
  }

  @Test
  void kroneckerProductsAreOneTermOfTheirKind() throws IOException {
    String name = "model.layers.0.self_attn.q_proj";
    Path tuned = changed(name, Tuned.kronecker(9, 16, 6, 4, 8));
    for (Path base : List.of(CHECKPOINT, GGUF)) {
      Spectrum spectrum = spectrum(tuned, base, new Blocks(4, 8));
      double largest =
          spectrum.layers().stream().mapToDouble(Spectrum.Layer::energy).max().orElse(0);
      for (Spectrum.Layer layer : spectrum.layers()) {
        if (layer.layer().name().equals(name)) {
          assertThat(layer.energy()).isEqualTo(largest);
          double[] sigma = layer.sigma().get(Kind.KRONECKER);
          assertThat(sigma[0] * sigma[0] / layer.energy())
              .as("%s", base)
              .isCloseTo(1, offset(1e-6));
          assertThat(layer.energy(Kind.KRONECKER, 1)).isCloseTo(1, offset(1e-6));
          for (Kind other : List.of(Kind.SVD, Kind.SHUFFLED)) {
            double[] values = layer.sigma().get(other);
            assertThat(values[0] * values[0] / layer.energy()).isLessThan(0.6);
          }
        } else {
          assertThat(layer.energy()).isLessThan(1e-6 * largest);
        }
      }
    }
  }

  /** The smallest budget that holds the changed layer's only term holds all, less holds nothing. */
  @Test
  void budgetsGoToTheLayersThatNeedThem() throws IOException {
    String name = "model.layers.0.mlp.up_proj";
    Path tuned = changed(name, Tuned.kronecker(8, 64, 1, 1, 48));
    Spectrum spectrum = spectrum(tuned, CHECKPOINT, Blocks.BALANCED);
    long all = 0;
    long term = 0;
    for (Spectrum.Layer layer : spectrum.layers()) {
      all += layer.layer().parameters();
      if (layer.layer().name().equals(name)) {
        term = layer.layer().out() + layer.layer().in();
        assertThat(layer.shape())
            .isEqualTo(KronShape.factored(layer.layer().out(), layer.layer().in(), -1));
        assertThat(layer.energy(Kind.SVD, 0)).isZero();
        assertThat(layer.energy(Kind.SVD, Spectrum.MOST)).isCloseTo(1, offset(1e-6));
      } else {
        assertThat(layer.energy(Kind.SVD, 0.1)).isNaN();
      }
    }
    assertThat(spectrum.energy(Kind.SVD, (term + 0.5) / all)).isCloseTo(1, offset(1e-6));
    assertThat(spectrum.energy(Kind.SVD, (term - 0.5) / all)).isZero();
    assertThat(spectrum.energy(Kind.KRONECKER, 0.05))
        .isBetween(0.0, 0.9)
        .isGreaterThan(spectrum.energy(Kind.KRONECKER, 0.01));
  }

  @Test
  void whatDoesNotFitIsNamed() {
    assertThat(Blocks.parse("balanced")).isEqualTo(Blocks.BALANCED);
    assertThat(Blocks.parse("64x32")).isEqualTo(new Blocks(64, 32)).hasToString("64x32");
    for (String text : List.of("", "64", "0x4", "-1x4", "4x4x4", "99999999x1")) {
      assertThatThrownBy(() -> Blocks.parse(text))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("factors are '" + text + "'");
    }
    assertThatThrownBy(() -> spectrum(CHECKPOINT, CHECKPOINT, new Blocks(7, 1)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("factors of 7x1 do not divide model.layers.0.self_attn.q_proj");
    assertThatThrownBy(() -> spectrum(CHECKPOINT, CHECKPOINT, Blocks.BALANCED))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("all weights are zero");
    Path other = Path.of(System.getProperty("sylvester.root"), "models/gsm-mini/draft");
    assertThatThrownBy(() -> spectrum(CHECKPOINT, other, Blocks.BALANCED))
        .isInstanceOf(ModelFormatException.class)
        .hasMessageContaining("model.layers.0.self_attn.q_proj.weight");
  }
}
