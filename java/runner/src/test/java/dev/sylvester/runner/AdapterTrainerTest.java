package dev.sylvester.runner;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.data.Offset.offset;
import static org.assertj.core.data.Percentage.withPercentage;

import dev.sylvester.kernels.DType;
import dev.sylvester.kernels.KronFactors;
import dev.sylvester.kernels.KronShape;
import dev.sylvester.kernels.ThreadPool;
import dev.sylvester.runner.adapt.AdapterTrainer;
import dev.sylvester.runner.adapt.Blocks;
import dev.sylvester.runner.adapt.TrainingExample;
import dev.sylvester.runner.adapt.TrainingOptions;
import dev.sylvester.runner.adapt.TrainingOptions.Method;
import dev.sylvester.runner.format.AdapterFolder;
import dev.sylvester.runner.format.ModelFile;
import dev.sylvester.runner.format.ModelFormatException;
import dev.sylvester.runner.format.SafetensorsFile;
import dev.sylvester.runner.hub.Progress;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Adapters that are trained, and the models that they are put beside. */
class AdapterTrainerTest {
  private static final Path MODEL = Golden.ROOT.resolve("tests/golden/checkpoints/llama-gqa-tied");
  private static final int STEPS = 12;

  @TempDir private Path folder;

  private ModelFile file;

  @BeforeEach
  void open() {
    file = ModelFile.open(MODEL);
  }

  @AfterEach
  void close() {
    file.close();
  }

  /** Texts that tell the next token: each is one more than the one before. */
  private static List<TrainingExample> counting() {
    List<TrainingExample> examples = new ArrayList<>();
    Random random = new Random(4);
    for (int i = 0; i < 20; i++) {
      int first = random.nextInt(200);
      int length = 6 + random.nextInt(10);
      int[] tokens = new int[length];
      for (int j = 0; j < length; j++) {
        tokens[j] = first + j;
      }
      examples.add(new TrainingExample(tokens, 2 + random.nextInt(3)));
    }
    return examples;
  }

  private static TrainingOptions options(Method method, int rank, long budget, int batch) {
    return new TrainingOptions(
        method,
        rank,
        budget,
        Blocks.BALANCED,
        STEPS,
        batch,
        Math.max(1, 8 / batch),
        0.01f,
        0.25f,
        0.01f,
        1,
        5);
  }

  private AdapterTrainer trainer(TrainingOptions options, ThreadPool pool) {
    return new AdapterTrainer(file, options, counting(), pool, Progress.NONE);
  }

  private static void finish(AdapterTrainer trainer) {
    while (!trainer.finished()) {
      trainer.step();
    }
  }

  /** Mean negative log-likelihood of answers, by the runner. */
  private static double loss(Path adapter) {
    List<Adapter> adapters = adapter == null ? List.of() : List.of(new Adapter(adapter, 1));
    ModelOptions options =
        ModelOptions.defaults().withThreads(1).withCache(CacheOptions.F32).withAdapters(adapters);
    double sum = 0;
    int count = 0;
    try (Model model = Model.load(MODEL, options);
        Session session = model.newSession()) {
      for (TrainingExample example : counting()) {
        session.truncate(0);
        float[][] logits = Rows.all(session, example.tokens());
        for (int i = example.prompt(); i < example.tokens().length; i++) {
          double all = 0;
          for (float logit : logits[i - 1]) {
            all += Math.exp(logit);
          }
          sum += Math.log(all) - logits[i - 1][example.tokens()[i]];
          count++;
        }
      }
    }
    return sum / count;
  }

  /** The model, opened again with the adapter's file, is the one that was trained. */
  @ParameterizedTest
  @EnumSource(Method.class)
  void whatIsWrittenIsWhatWasTrained(Method method) throws IOException {
    double before = loss(null);
    Path path = folder.resolve("adapter");
    try (AdapterTrainer trainer = trainer(options(method, 2, 0, 8), null)) {
      assertThat(trainer.loss(counting())).isCloseTo(before, withPercentage(1e-3));
      finish(trainer);
      double after = trainer.loss(counting());
      assertThat(after).isLessThan(before - 1);
      trainer.write(path);
      assertThat(loss(path)).isCloseTo(after, withPercentage(1e-3));
    }
  }

  /** Before the first step, what is written changes nothing. */
  @ParameterizedTest
  @EnumSource(Method.class)
  void nothingTrainedIsNoChange(Method method) throws IOException {
    Path path = folder.resolve("adapter");
    try (AdapterTrainer trainer = trainer(options(method, 2, 0, 8), null)) {
      trainer.write(path);
    }
    try (Arena arena = Arena.ofShared()) {
      for (AdapterFolder.Module module : AdapterFolder.read(path, arena).modules().values()) {
        KronFactors factors = module.factors();
        KronShape shape = factors.shape();
        MemorySegment delta = arena.allocate(shape.out() * shape.in() * Float.BYTES, 4);
        factors.writeDelta(1, false, DType.F32, delta, shape.in(), null);
        for (float value : delta.toArray(JAVA_FLOAT)) {
          assertThat((double) value).isCloseTo(0, offset(1e-15));
        }
      }
    }
  }

  @ParameterizedTest
  @EnumSource(Method.class)
  void resumedTrainingHasTheSameBits(Method method) throws IOException {
    TrainingOptions options = options(method, 2, 0, 4);
    Path whole = folder.resolve("whole");
    Path resumed = folder.resolve("resumed");
    List<AdapterTrainer.Step> history;
    try (AdapterTrainer trainer = trainer(options, null)) {
      finish(trainer);
      trainer.save(whole);
      history = trainer.history();
    }
    try (AdapterTrainer trainer = trainer(options, null)) {
      for (int i = 0; i < 5; i++) {
        trainer.step();
      }
      trainer.save(resumed);
    }
    try (ThreadPool pool = ThreadPool.of(3);
        AdapterTrainer trainer = trainer(options, pool)) {
      trainer.resume(resumed);
      finish(trainer);
      trainer.save(resumed);
      assertThat(trainer.history()).isEqualTo(history);
    }
    assertThat(Files.mismatch(whole, resumed)).isEqualTo(-1);
  }

  @Test
  void checkpointsBelongToTheirTraining() throws IOException {
    Path path = folder.resolve("checkpoint");
    try (AdapterTrainer trainer = trainer(options(Method.LORA, 2, 0, 4), null)) {
      trainer.step();
      trainer.save(path);
    }
    try (AdapterTrainer trainer = trainer(options(Method.LORA, 2, 0, 8), null)) {
      assertThatThrownBy(() -> trainer.resume(path))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("checkpoint of another training");
      assertThatThrownBy(() -> trainer.resume(MODEL.resolve("model.safetensors")))
          .isInstanceOf(ModelFormatException.class)
          .hasMessageContaining("is no checkpoint of a training");
      assertThat(trainer.history()).isEmpty();
    }
  }

  /** Passes that are added up are one large pass but for the order of the sums. */
  @Test
  void accumulatedPassesAreOne() {
    try (AdapterTrainer large = trainer(options(Method.SOKA, 2, 0, 8), null);
        AdapterTrainer small = trainer(options(Method.SOKA, 2, 0, 2), null)) {
      AdapterTrainer.Step want = large.step();
      AdapterTrainer.Step got = small.step();
      assertThat(got.loss()).isCloseTo(want.loss(), withPercentage(1e-6));
      assertThat(got.gradientNorm()).isCloseTo(want.gradientNorm(), withPercentage(1e-3));
    }
  }

  /** The steps of AdamW after clipping, computed here in double. */
  @Test
  void stepsAreClippedAdamW() throws IOException {
    TrainingOptions options =
        new TrainingOptions(Method.LORA, 1, 0, Blocks.BALANCED, 1, 4, 1, 0.01f, 0, 0.5f, 0.125f, 5);
    try (Arena arena = Arena.ofShared();
        AdapterTrainer trainer = trainer(options, null)) {
      trainer.write(folder.resolve("before"));
      assertThat(trainer.step().gradientNorm()).isGreaterThan(0.25);
      trainer.write(folder.resolve("after"));
      trainer.save(folder.resolve("checkpoint"));
      double squares = 0;
      MemorySegment mean =
          SafetensorsFile.open(folder.resolve("checkpoint"), arena).tensors().get("mean").data();
      for (float value : mean.toArray(JAVA_FLOAT.withByteAlignment(1))) {
        squares += (double) value * value;
      }
      assertThat(Math.sqrt(squares)).isCloseTo(0.1 * 0.125, withPercentage(1e-3));
      Map<String, AdapterFolder.Module> before =
          AdapterFolder.read(folder.resolve("before"), arena).modules();
      Map<String, AdapterFolder.Module> after =
          AdapterFolder.read(folder.resolve("after"), arena).modules();
      // B is 0, so that A has no gradient: only the decay moves it. The first step moves B by the
      // rate, whatever its gradient is, as long as that is far above epsilon.
      before.forEach(
          (name, module) -> {
            float[] a = module.factors().v().toArray(JAVA_FLOAT);
            float[] moved = after.get(name).factors().v().toArray(JAVA_FLOAT);
            for (int i = 0; i < a.length; i++) {
              assertThat((double) moved[i]).isCloseTo(a[i] * (1 - 0.01 * 0.5), offset(1e-7));
            }
            for (float value : after.get(name).factors().u().toArray(JAVA_FLOAT)) {
              assertThat(Math.abs(value)).isCloseTo(0.01f, offset(1e-3f));
            }
          });
    }
  }

  @Test
  void ranksAndBudgets() {
    // One term of a rank of all layers.
    long one;
    try (AdapterTrainer trainer = trainer(options(Method.LORA, 1, 0, 8), null)) {
      one = trainer.parameters();
      assertThat(trainer.ranks()).hasSize(14).containsValue(1L);
    }
    for (Method method : List.of(Method.LORA, Method.PISSA)) {
      try (AdapterTrainer trainer = trainer(options(method, 0, 4 * one - 1, 8), null)) {
        assertThat(trainer.ranks().values()).containsOnly(3L);
        assertThat(trainer.parameters()).isEqualTo(3 * one);
      }
    }
    try (AdapterTrainer trainer = trainer(options(Method.SOKA, 0, 3 * one, 8), null)) {
      assertThat(trainer.parameters()).isBetween(3 * one - 200, 3 * one);
      assertThat(trainer.ranks()).hasSize(14);
      assertThat(trainer.ranks().values().stream().distinct().count()).isGreaterThan(1);
    }
    try (AdapterTrainer trainer = trainer(options(Method.SOKA, 0, 0, 8), null)) {
      assertThat(trainer.ranks()).hasSize(14);
      assertThat(trainer.ranks().values()).allMatch(rank -> rank > 1 && rank < 64);
    }
    assertRefused(() -> options(Method.PISSA, 0, 0, 8), "pissa needs a rank or a budget");
    assertRefused(() -> options(Method.SOKA, 2, 100, 8), "rank and budget are both given");
    assertRefused(
        () -> trainer(options(Method.LORA, 0, one - 1, 8), null),
        "a budget of %d parameters holds no term of all layers: one of each takes %d"
            .formatted(one - 1, one));
    assertRefused(() -> trainer(options(Method.PISSA, 33, 0, 8), null), "has at most 32");
  }

  @Test
  void unfitExamplesAreNamed() {
    TrainingOptions options = options(Method.LORA, 1, 0, 1);
    assertRefused(
        () -> new AdapterTrainer(file, options, List.of(), null, Progress.NONE),
        "there are no examples");
    assertRefused(
        () -> trainer(options(Method.LORA, 1, 0, 21), null), "batch is 21, there are 20 examples");
    TrainingExample unknown = new TrainingExample(new int[] {1, 264}, 1);
    assertRefused(
        () -> new AdapterTrainer(file, options, List.of(unknown), null, Progress.NONE),
        "example 1 has token 264, the model has 264");
    TrainingExample endless = new TrainingExample(new int[129], 1);
    assertRefused(
        () -> new AdapterTrainer(file, options, List.of(endless), null, Progress.NONE),
        "example 1 has 129 tokens, the model holds 128");
    assertRefused(() -> new TrainingExample(new int[3], 3), "leave an answer");
    try (ModelFile diffusion =
        ModelFile.open(Golden.ROOT.resolve("tests/golden/checkpoints/dream"))) {
      assertRefused(
          () -> new AdapterTrainer(diffusion, options, counting(), null, Progress.NONE),
          "is a diffusion model");
    }
  }

  private static void assertRefused(Runnable call, String problem) {
    assertThatThrownBy(call::run)
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(problem);
  }
}
