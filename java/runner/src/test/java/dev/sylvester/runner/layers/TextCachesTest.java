package dev.sylvester.runner.layers;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.sylvester.kernels.DType;
import dev.sylvester.kernels.KvCalibration;
import dev.sylvester.kernels.KvOptions;
import dev.sylvester.kernels.KvPlan;
import dev.sylvester.kernels.ThreadPool;
import dev.sylvester.runner.format.ModelFile;
import dev.sylvester.runner.hub.Catalog;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TextCachesTest {
  private static final int CONTEXT = 320;

  private ModelFile file;
  private Arena arena;
  private ThreadPool pool;
  private Weights weights;
  private int[] tokens;

  @BeforeEach
  void open() {
    file = ModelFile.open(Catalog.resolve("gsm-mini"));
    arena = Arena.ofShared();
    pool = ThreadPool.of(2);
    weights = Weights.load(file, CONTEXT, arena, pool);
    tokens = new Random(7).ints(300, 0, file.config().vocabSize()).toArray();
  }

  @AfterEach
  void close() {
    pool.close();
    arena.close();
    file.close();
  }

  private float[] logits(Evaluator text) {
    text.append(tokens, 0, tokens.length);
    return text.logits().toArray(ValueLayout.JAVA_FLOAT);
  }

  private KvPlan plan() {
    return KvPlan.of(weights.kvGeometry(), KvOptions.preset("q4"));
  }

  @ParameterizedTest
  @ValueSource(strings = {"best", "rotatekv"})
  void calibratingChangesNoLogits(String preset) {
    KvOptions options = KvOptions.preset(preset);
    try (KvCalibration calibration = KvCalibration.of(weights.kvGeometry());
        Evaluator text = TextCaches.calibrating(weights, CONTEXT, pool, calibration, options);
        Evaluator floats = TextCaches.floats(weights, CONTEXT, pool, DType.F16).newText()) {
      assertThat(logits(text)).isEqualTo(logits(floats));
      assertThatThrownBy(text::fork).isInstanceOf(UnsupportedOperationException.class);
      KvPlan.of(weights.kvGeometry(), options, calibration).close();
    }
  }

  @Test
  void measuringTellsTheErrorOfEachLayer() {
    double[] errors = new double[weights.config().layers()];
    try (TextCaches caches = TextCaches.packed(weights, CONTEXT, pool, plan(), 1);
        Evaluator text = caches.newMeasuringText(errors);
        Evaluator floats = TextCaches.floats(weights, CONTEXT, pool, DType.F16).newText()) {
      assertThat(logits(text)).isEqualTo(logits(floats));
    }
    // Four bits: a relative error of some percent, squared.
    for (double error : errors) {
      assertThat(error).isBetween(1e-6, 0.05);
    }
  }

  @Test
  void aPassThatFailedIsForgotten() {
    try (PackedTextCaches caches = new PackedTextCaches(weights, CONTEXT, pool, plan(), 2);
        TextCache cache = caches.newCache();
        TextCache fresh = caches.newCache();
        Scratch scratch = new Scratch(weights, 32)) {
      pass(cache, scratch, 0, 20);
      pass(fresh, scratch, 0, 20);
      cache.attend(0, scratch, 0, 20, 5);
      assertThat(cache.length()).isEqualTo(20);
      cache.truncate(20);
      assertThat(cache.length()).isEqualTo(20);
      assertThat(bytes(cache)).isEqualTo(bytes(fresh));
      pass(cache, scratch, 20, 30);
      assertThat(cache.length()).isEqualTo(50);
      cache.truncate(10);
      assertThat(cache.length()).isEqualTo(10);
    }
  }

  private void pass(TextCache cache, Scratch scratch, int first, int rows) {
    for (int layer = 0; layer < weights.config().layers(); layer++) {
      cache.attend(layer, scratch, 0, first, rows);
    }
  }

  private static byte[] bytes(TextCache cache) {
    try (Arena scratch = Arena.ofConfined()) {
      return cache.save(scratch).toArray(ValueLayout.JAVA_BYTE);
    }
  }
}
