package dev.sylvester.runner.adapt;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;
import static org.assertj.core.data.Percentage.withPercentage;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.sylvester.kernels.KronFactors;
import dev.sylvester.kernels.ThreadPool;
import dev.sylvester.runner.format.AdapterFolder;
import dev.sylvester.runner.format.ModelFile;
import dev.sylvester.runner.format.SafetensorsFile;
import dev.sylvester.runner.format.Tensor;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Gradients of whole models against PyTorch's and against differences. */
class AdaptedModelTest {
  private static final Path GOLDEN = Path.of(System.getProperty("sylvester.root"), "tests/golden");
  private static final double BOUND = 1e-4;

  private final Arena arena = Arena.ofShared();

  @AfterEach
  void free() {
    arena.close();
  }

  /** A case of make_training.py on a model's file. */
  private final class Case implements AutoCloseable {
    final List<TrainingExample> texts = new ArrayList<>();
    final Map<String, Tensor> want;
    final TrainedModules modules;
    final AdaptedModel model;
    final double loss;
    private final ModelFile file;

    Case(String name, Path path, ThreadPool pool) throws Exception {
      JsonNode json =
          new ObjectMapper().readTree(GOLDEN.resolve("training/cases.json").toFile()).get(name);
      for (JsonNode text : json.get("texts")) {
        int[] tokens = new int[text.get("tokens").size()];
        for (int i = 0; i < tokens.length; i++) {
          tokens[i] = text.get("tokens").get(i).intValue();
        }
        texts.add(new TrainingExample(tokens, text.get("prompt").intValue()));
      }
      loss = json.get("loss").doubleValue();
      want =
          SafetensorsFile.open(GOLDEN.resolve("training/" + name + ".gradients.safetensors"), arena)
              .tensors();
      Map<String, KronFactors> factors = new LinkedHashMap<>();
      AdapterFolder.read(GOLDEN.resolve("training/" + name + ".safetensors"), arena)
          .modules()
          .forEach((module, read) -> factors.put(module, read.factors()));
      modules = new TrainedModules(factors, arena);
      file = ModelFile.open(path);
      FrozenWeights weights =
          new FrozenWeights(file, Map.of(), MessageDigest.getInstance("SHA-256"));
      model = new AdaptedModel(file, weights, modules, arena, pool);
      model.pack();
    }

    Case(String name) throws Exception {
      this(name, checkpoint(name), null);
    }

    /** Of all factors, the largest difference in one relative to its largest element. */
    double error() {
      double worst = 0;
      for (String module : modules.factors().keySet()) {
        AdaptedLinear.Trained trained = modules.of(module);
        worst = Math.max(worst, error(trained.du(), want.remove(module + ".kron_u").data()));
        worst = Math.max(worst, error(trained.dv(), want.remove(module + ".kron_v").data()));
      }
      assertThat(want).isEmpty();
      return worst;
    }

    private static double error(MemorySegment got, MemorySegment want) {
      assertThat(got.byteSize()).isEqualTo(want.byteSize());
      double most = 0;
      double off = 0;
      for (long at = 0; at < got.byteSize(); at += Float.BYTES) {
        double expected = want.get(JAVA_FLOAT.withByteAlignment(1), at);
        most = Math.max(most, Math.abs(expected));
        off = Math.max(off, Math.abs(got.get(JAVA_FLOAT, at) - expected));
      }
      assertThat(most).isGreaterThan(1e-2);
      return off / most;
    }

    @Override
    public void close() {
      model.close();
      file.close();
    }
  }

  private static Path checkpoint(String name) throws IOException {
    JsonNode cases = new ObjectMapper().readTree(GOLDEN.resolve("training/cases.json").toFile());
    return GOLDEN.resolve("checkpoints").resolve(cases.get(name).get("model").textValue());
  }

  @ParameterizedTest
  @ValueSource(strings = {"llama", "llama-lora", "untied", "window", "bias", "qk-norm", "yarn"})
  void gradientsAreThoseOfPyTorch(String name) throws Exception {
    try (ThreadPool pool = ThreadPool.of(2);
        Case it = new Case(name, checkpoint(name), pool)) {
      assertThat(it.model.addGradient(it.texts)).isCloseTo(it.loss, withPercentage(1e-3));
      assertThat(it.error()).isLessThan(BOUND);
    }
  }

  /** The same weights with rows of queries and keys in another order. */
  @Test
  void gradientsOfGgufModelsAreInTransformersOrder() throws Exception {
    try (Case it = new Case("yarn", GOLDEN.resolve("gguf/llama-rope-yarn.gguf"), null)) {
      assertThat(it.model.addGradient(it.texts)).isCloseTo(it.loss, withPercentage(1e-3));
      assertThat(it.error()).isLessThan(BOUND);
    }
  }

  /** Along a random direction, in which every parameter moves. */
  @ParameterizedTest
  @ValueSource(strings = {"llama", "qk-norm"})
  void gradientsAreSlopes(String name) throws Exception {
    try (Case it = new Case(name)) {
      it.model.addGradient(it.texts);
      MemorySegment parameters = it.modules.parameters();
      float[] start = parameters.toArray(JAVA_FLOAT);
      float[] gradient = it.modules.gradient().toArray(JAVA_FLOAT);
      Random random = new Random(1);
      double[] direction = random.doubles(start.length, -1, 1).toArray();
      double want = 0;
      for (int i = 0; i < start.length; i++) {
        direction[i] += Math.signum(gradient[i]);
        want += gradient[i] * direction[i];
      }
      double step = 1e-4;
      double[] losses = new double[2];
      for (int side = 0; side < 2; side++) {
        for (int i = 0; i < start.length; i++) {
          double moved = start[i] + (2 * side - 1) * step * direction[i];
          parameters.setAtIndex(JAVA_FLOAT, i, (float) moved);
        }
        it.model.pack();
        losses[side] = it.model.loss(it.texts);
      }
      assertThat((losses[1] - losses[0]) / (2 * step)).isCloseTo(want, withPercentage(0.1));
    }
  }

  /** Gradients add up over passes; texts of one pass do not see each other. */
  @Test
  void textsAreApart() throws Exception {
    try (Case together = new Case("llama");
        Case apart = new Case("llama")) {
      double loss = together.model.addGradient(together.texts);
      double sum = 0;
      for (TrainingExample text : apart.texts) {
        sum += apart.model.addGradient(List.of(text));
      }
      assertThat(sum).isCloseTo(loss, offset(1e-9 * loss));
      assertThat(apart.error()).isLessThan(BOUND);
    }
  }
}
