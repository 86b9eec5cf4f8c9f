package dev.sylvester.runner.adapt;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.data.Offset.offset;

import dev.sylvester.kernels.DType;
import dev.sylvester.kernels.KronFactors;
import dev.sylvester.kernels.KronShape;
import dev.sylvester.runner.format.AdapterFolder;
import dev.sylvester.runner.format.LayerChange;
import dev.sylvester.runner.format.SafetensorsFile;
import dev.sylvester.runner.format.Tensor;
import dev.sylvester.runner.hub.Progress;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What is written, read again, against sums of Kronecker products by their definition. */
class ExportTest {
  private static final Path GOLDEN =
      Path.of(System.getProperty("sylvester.root"), "tests/golden/adapters");
  private static final String Q = "model.layers.0.self_attn.q_proj";
  private static final String UP = "model.layers.0.mlp.up_proj";

  @TempDir private Path folder;

  private final Arena arena = Arena.ofShared();

  @AfterEach
  void free() {
    arena.close();
  }

  private MemorySegment random(long seed, long count) {
    Random random = new Random(seed);
    MemorySegment data = arena.allocate(JAVA_FLOAT, count);
    for (long i = 0; i < count; i++) {
      data.setAtIndex(JAVA_FLOAT, i, (float) random.nextGaussian());
    }
    return data;
  }

  private LayerChange change(KronShape s, int terms, float scale) {
    return new LayerChange(
        KronFactors.of(
            DType.F32,
            terms,
            s,
            random(terms, terms * s.m() * s.n()),
            random(terms + 100, terms * s.p() * s.q())),
        scale,
        null);
  }

  /** Of 24 x 20 and 36 x 24, of three terms and of two. */
  private Map<String, LayerChange> changes() {
    Map<String, LayerChange> changes = new LinkedHashMap<>();
    changes.put(Q, change(KronShape.factored(20, 24, -1), 3, 0.75f));
    changes.put(UP, change(KronShape.factored(36, 24, -1), 2, 1));
    return changes;
  }

  private static double[] delta(LayerChange change) {
    KronFactors f = change.factors();
    KronShape s = f.shape();
    double[] delta = new double[(int) (s.out() * s.in())];
    for (int at = 0; at < delta.length; at++) {
      long o = at / s.in();
      long i = at % s.in();
      for (long k = 0; k < f.terms(); k++) {
        delta[at] +=
            (double) change.scale()
                * f.u().getAtIndex(JAVA_FLOAT, (k * s.m() + o / s.p()) * s.n() + i / s.q())
                * f.v().getAtIndex(JAVA_FLOAT, (k * s.p() + o % s.p()) * s.q() + i % s.q());
      }
    }
    return delta;
  }

  /** Of what was read, in the same way. */
  private double[] delta(List<Path> adapters, String module) {
    double[] sum = null;
    for (Path path : adapters) {
      AdapterFolder.Module read = AdapterFolder.read(path, arena).modules().get(module);
      if (read != null) {
        double[] delta = delta(new LayerChange(read.factors(), read.scale(), null));
        for (int i = 0; sum != null && i < sum.length; i++) {
          delta[i] += sum[i];
        }
        sum = delta;
      }
    }
    return sum;
  }

  private static double distance(double[] a, double[] b) {
    double squares = 0;
    for (int i = 0; i < a.length; i++) {
      squares += (a[i] - b[i]) * (a[i] - b[i]);
    }
    return Math.sqrt(squares);
  }

  private static double norm(double[] a) {
    return distance(a, new double[a.length]);
  }

  @Test
  void eachTermIsALokr() throws IOException {
    List<Path> made = AdapterFolder.writeLokr(folder.resolve("lokr"), changes());
    assertThat(made).hasSize(3);
    assertThat(AdapterFolder.read(made.get(2), arena).modules()).containsOnlyKeys(Q);
    changes()
        .forEach(
            (module, change) ->
                // Of the scale, which alpha over a rank of 3 makes again.
                assertThat(distance(delta(made, module), delta(change)))
                    .isLessThan(1e-7 * norm(delta(change))));
    // PEFT splits w2 where the rank is below half of its larger side, which is 6 here.
    assertThat(Files.readString(made.get(0).resolve("adapter_config.json"))).contains("\"r\":3,");
    Path odd = folder.resolve("odd");
    AdapterFolder.writeLokr(odd, Map.of(Q, change(KronShape.factored(25, 35, -1), 1, 1)));
    // Half of 7, and not below it.
    assertThat(Files.readString(odd.resolve("adapter_config.json"))).contains("\"r\":4,");
    Path one = folder.resolve("one");
    Map<String, LayerChange> single = Map.of(Q, change(KronShape.factored(20, 24, 2), 1, 1));
    assertThat(AdapterFolder.writeLokr(one, single)).containsExactly(one);
    assertThat(Files.readString(one.resolve("adapter_config.json")))
        .contains("\"decompose_factor\":2");
  }

  @Test
  void whatPeftDoesNotCutIsRefused() {
    Map<String, LayerChange> odd = Map.of(Q, change(new KronShape(5, 3, 4, 8), 2, 1));
    assertThatThrownBy(() -> AdapterFolder.writeLokr(folder.resolve("odd"), odd))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("module " + Q + " has factors")
        .hasMessageContaining("PEFT has no decompose_factor");
    assertThat(folder).isEmptyDirectory();
  }

  @Test
  void theErrorOfALoraIsTold() throws IOException {
    List<Double> errors = new ArrayList<>();
    for (int rank : new int[] {1, 5, Integer.MAX_VALUE}) {
      Export.Lora lora = Export.lora(changes(), rank, null, arena, null, Progress.NONE);
      Path made = folder.resolve("lora" + rank);
      AdapterFolder.writeScaledLora(made, lora.modules());
      double lost = 0;
      double all = 0;
      for (Map.Entry<String, LayerChange> entry : changes().entrySet()) {
        double[] want = delta(entry.getValue());
        double distance = distance(delta(List.of(made), entry.getKey()), want);
        assertThat(lora.errors().get(entry.getKey()))
            .isCloseTo(distance / norm(want), offset(1e-6));
        lost += distance * distance;
        all += norm(want) * norm(want);
      }
      assertThat(lora.error()).isCloseTo(Math.sqrt(lost / all), offset(1e-6));
      errors.add(lora.error());
    }
    assertThat(errors.get(0)).isBetween(errors.get(1) + 0.05, 1.0);
    assertThat(errors.get(2)).isLessThan(2e-6);
    assertThat(errors.get(1)).isGreaterThan(0.05);
  }

  @Test
  void aLoraStaysAsItIs() throws IOException {
    Map<String, LayerChange> own = Map.of(Q, change(KronShape.lora(20, 24), 3, 0.7f));
    Export.Lora lora = Export.lora(own, 3, null, arena, null, Progress.NONE);
    assertThat(lora.error()).isZero();
    AdapterFolder.writeScaledLora(folder.resolve("lora"), lora.modules());
    AdapterFolder.Module read = AdapterFolder.read(folder.resolve("lora"), arena).modules().get(Q);
    assertThat(read.scale()).isEqualTo(0.7f);
    assertThat(read.factors().u().mismatch(own.get(Q).factors().u())).isEqualTo(-1);
    assertThat(read.factors().v().mismatch(own.get(Q).factors().v())).isEqualTo(-1);
  }

  /** The tensors that PEFT's path_initial_model_for_weight_conversion writes, byte for byte. */
  @Test
  void pissaIsConvertedAsPeftDoes() throws IOException {
    AdapterFolder trained = AdapterFolder.read(GOLDEN.resolve("pissa"), arena);
    AdapterFolder initial = AdapterFolder.read(GOLDEN.resolve("pissa-initial"), arena);
    Path made = folder.resolve("lora");
    AdapterFolder.writeScaledLora(made, Export.difference(trained, initial, arena));
    Map<String, Tensor> got = tensors(made);
    Map<String, Tensor> want = tensors(GOLDEN.resolve("pissa-converted"));
    assertThat(got.keySet()).isEqualTo(want.keySet());
    want.forEach(
        (name, tensor) -> {
          assertThat(got.get(name).shape()).isEqualTo(tensor.shape());
          assertThat(got.get(name).data().mismatch(tensor.data())).as(name).isEqualTo(-1);
        });
    Map<String, AdapterFolder.Module> read = AdapterFolder.read(made, arena).modules();
    AdapterFolder.read(GOLDEN.resolve("pissa-converted"), arena)
        .modules()
        .forEach((name, m) -> assertThat(read.get(name).scale()).isEqualTo(m.scale()));
    assertThatThrownBy(
            () ->
                Export.difference(
                    trained, AdapterFolder.read(GOLDEN.resolve("lora"), arena), arena))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("not what training made of");
    assertThatThrownBy(() -> Export.changes(trained, null, arena, null))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("DoRA or PiSSA, which needs the model");
  }

  private Map<String, Tensor> tensors(Path adapter) {
    return SafetensorsFile.open(adapter.resolve("adapter_model.safetensors"), arena).tensors();
  }
}
