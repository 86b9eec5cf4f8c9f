package dev.sylvester.runner.adapt;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.data.Offset.offset;

import dev.sylvester.kernels.KronShape;
import dev.sylvester.runner.adapt.Spectrum.Kind;
import dev.sylvester.runner.format.ModelFile;
import dev.sylvester.runner.format.ModelFormatException;
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

/** Spectra of changes whose terms are known. */
class SpectrumTest {
  private static final Path GOLDEN = Path.of(System.getProperty("sylvester.root"), "tests/golden");
  private static final Path CHECKPOINT = GOLDEN.resolve("checkpoints/llama-rope-yarn");
  // The same weights; rows of queries and keys in another order.
  private static final Path GGUF = GOLDEN.resolve("gguf/llama-rope-yarn.gguf");

  @TempDir private Path folder;

  private final Arena arena = Arena.ofShared();
  private final Random random = new Random(9);

  @AfterEach
  void free() {
    arena.close();
  }

  /** The change of a layer: element (row, column). */
  private interface Change {
    double at(int row, int column);
  }

  /** The checkpoint, one of its layers changed. */
  private Path changed(String layer, Change change) throws IOException {
    for (String name : List.of("config.json", "tokenizer.json")) {
      Files.copy(CHECKPOINT.resolve(name), folder.resolve(name));
    }
    Map<String, SafetensorsFile.Floats> tensors = new LinkedHashMap<>();
    Path file = CHECKPOINT.resolve("model.safetensors");
    for (Tensor tensor : SafetensorsFile.open(file, arena).tensors().values()) {
      MemorySegment copy = arena.allocate(JAVA_FLOAT, tensor.elements());
      tensor.dtype().toFloat(tensor.data(), tensor.elements(), copy);
      if (tensor.name().equals(layer + ".weight")) {
        int columns = (int) tensor.shape()[1];
        for (int i = 0; i < tensor.elements(); i++) {
          float changed =
              (float) (copy.getAtIndex(JAVA_FLOAT, i) + change.at(i / columns, i % columns));
          copy.setAtIndex(JAVA_FLOAT, i, changed);
        }
      }
      tensors.put(tensor.name(), new SafetensorsFile.Floats(tensor.shape(), copy));
    }
    SafetensorsFile.write(folder.resolve("model.safetensors"), tensors, Map.of());
    return folder;
  }

  private double[] normal(long count) {
    return random.doubles(count, -1, 1).toArray();
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
    double[] u = normal(16 * 6);
    double[] v = normal(4 * 8);
    Path tuned =
        changed(name, (row, column) -> u[row / 4 * 6 + column / 8] * v[row % 4 * 8 + column % 8]);
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
    double[] u = normal(64);
    double[] v = normal(64);
    Spectrum spectrum =
        spectrum(changed(name, (row, column) -> u[row] * v[column]), CHECKPOINT, Blocks.BALANCED);
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
