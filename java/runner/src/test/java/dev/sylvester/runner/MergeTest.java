package dev.sylvester.runner;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.data.Offset.offset;

import dev.sylvester.runner.adapt.Merge;
import dev.sylvester.runner.format.ModelFile;
import dev.sylvester.runner.format.SafetensorsFile;
import dev.sylvester.runner.format.Tensor;
import dev.sylvester.runner.hub.Progress;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Merged weights against the definition of the change, in double. */
class MergeTest {
  // Of 16-bit floats.
  private static final Path DRAFT = Golden.ROOT.resolve("models/gsm-mini/draft");
  private static final String UP = "model.layers.0.mlp.up_proj";
  private static final int OUT = 256;
  private static final int IN = 96;
  private static final int RANK = 2;

  @TempDir private Path folder;

  private final Arena arena = Arena.ofShared();
  private final float[] a = random(1, RANK * IN);
  private final float[] b = random(2, OUT * RANK);

  @AfterEach
  void free() {
    arena.close();
  }

  private static float[] random(long seed, int count) {
    Random random = new Random(seed);
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = (float) (0.1 * random.nextGaussian());
    }
    return values;
  }

  /** alpha / r is 3. */
  private Adapter lora(String name, String module, float scale) throws IOException {
    String prefix = "base_model.model." + module;
    Path made =
        PeftFiles.write(
            folder.resolve(name),
            "{\"peft_type\": \"LORA\", \"r\": 2, \"lora_alpha\": 6}",
            Map.of(
                prefix + ".lora_A.weight", floats(a, RANK, IN),
                prefix + ".lora_B.weight", floats(b, OUT, RANK)));
    return new Adapter(made, scale);
  }

  private SafetensorsFile.Floats floats(float[] values, long rows, long columns) {
    return new SafetensorsFile.Floats(
        new long[] {rows, columns}, arena.allocateFrom(JAVA_FLOAT, values));
  }

  private static int merge(Path model, Path target, Adapter... adapters) throws IOException {
    try (ModelFile file = ModelFile.open(model)) {
      return Merge.write(file, List.of(adapters), target, null, Progress.NONE);
    }
  }

  private Map<String, Tensor> tensors(Path model) {
    return SafetensorsFile.open(model.resolve("model.safetensors"), arena).tensors();
  }

  private float[] values(Tensor tensor) {
    MemorySegment values = arena.allocate(JAVA_FLOAT, tensor.elements());
    tensor.dtype().toFloat(tensor.data(), tensor.elements(), values);
    return values.toArray(JAVA_FLOAT);
  }

  @Test
  void changesAreAddedAndNothingElseIs() throws IOException {
    Path target = folder.resolve("merged");
    assertThat(merge(DRAFT, target, lora("one", UP, 0.5f), lora("two", UP, -0.25f))).isEqualTo(1);
    Map<String, Tensor> before = tensors(DRAFT);
    Map<String, Tensor> after = tensors(target);
    assertThat(after.keySet()).containsExactlyElementsOf(before.keySet());
    before.forEach(
        (name, tensor) -> {
          assertThat(after.get(name).type()).isEqualTo(tensor.type());
          assertThat(after.get(name).shape()).isEqualTo(tensor.shape());
          if (!name.equals(UP + ".weight")) {
            assertThat(after.get(name).data().mismatch(tensor.data())).as(name).isEqualTo(-1);
          }
        });
    float[] old = values(before.get(UP + ".weight"));
    float[] merged = values(after.get(UP + ".weight"));
    for (int i = 0; i < OUT * IN; i++) {
      double want = old[i];
      for (int k = 0; k < RANK; k++) {
        want += 3 * (0.5 - 0.25) * b[i / IN * RANK + k] * a[k * IN + i % IN];
      }
      // Half a unit of 11 bits, and the rounding of floats before it.
      double unit = Math.max(Math.scalb(1.0, Math.getExponent(want) - 10), 0x1p-24);
      assertThat((double) merged[i]).isCloseTo(want, offset(0.501 * unit));
    }
    for (String name : List.of("config.json", "tokenizer.json", "tokenizer_config.json")) {
      assertThat(Files.mismatch(DRAFT.resolve(name), target.resolve(name))).isEqualTo(-1);
    }
    try (Model opened = Model.load(target, ModelOptions.defaults().withThreads(1))) {
      assertThat(opened.config().layers()).isEqualTo(1);
    }
  }

  @Test
  void whatDoesNotFitLeavesNothing() throws IOException {
    Path target = folder.resolve("merged");
    Adapter good = lora("good", UP, 1);
    assertRefused(DRAFT, lora("far", "model.layers.7.mlp.up_proj", 1), "the model does not have");
    assertRefused(
        DRAFT,
        lora("down", "model.layers.0.mlp.down_proj", 1),
        "module model.layers.0.mlp.down_proj is 256 x 96, but the model's layer is 96 x 256");
    assertRefused(
        DRAFT, lora("huge", UP, 1e30f), "tensor " + UP + ".weight: element 0 with its change");
    Files.createDirectory(target);
    assertThatThrownBy(() -> merge(DRAFT, target, good))
        .isInstanceOf(FileAlreadyExistsException.class);
  }

  private void assertRefused(Path model, Adapter adapter, String problem) throws IOException {
    assertThatThrownBy(() -> merge(model, folder.resolve("merged"), adapter))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(problem);
    try (var left = Files.list(folder)) {
      assertThat(left).noneMatch(path -> path.getFileName().toString().startsWith("merged"));
    }
  }
}
