package dev.sylvester.kernels;

import static dev.sylvester.kernels.KvModel.GEOMETRY;
import static dev.sylvester.kernels.KvModel.KEY_COLS;
import static dev.sylvester.kernels.TestData.assertRefused;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.sylvester.kernels.KvCoding.Rotation;
import dev.sylvester.kernels.KvOptions.LayerBits;
import dev.sylvester.kernels.KvQuantizer.ClipMode;
import dev.sylvester.kernels.KvQuantizer.Grid;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Collections;
import java.util.List;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class KvPlanTest {
  private static final KvOptions QUAROT = KvOptions.preset("quarot");

  @TempDir private Path folder;

  static Stream<KvOptions> options() {
    return KvModel.options();
  }

  @Test
  void presetsAreWhatTheyAreCalled() {
    KvOptions rotateKv = KvOptions.preset("rotatekv");
    assertThat(rotateKv.preRope()).isTrue();
    assertThat(rotateKv.sort()).isTrue();
    assertThat(rotateKv.keys()).isEqualTo(new KvCoding(Rotation.GROUP, false, 2, 128, 0.8f));
    assertThat(rotateKv.values().rotation()).isEqualTo(Rotation.HEAD);
    assertThat(rotateKv.quantizer()).isEqualTo(new KvQuantizer(Grid.UNIFORM, ClipMode.RANGE, true));
    assertThat(rotateKv.maxSinks()).isEqualTo(20);
    assertThat(rotateKv.window()).isZero();
    assertThat(KvOptions.preset("rotatekv", 4).keys().clip()).isEqualTo(1);
    assertThat(KvOptions.preset("turbo", 3).quantizer().grid()).isEqualTo(Grid.LLOYD_MAX);
    assertThat(KvOptions.preset("q8").values())
        .isEqualTo(new KvCoding(Rotation.NONE, false, 8, 32, 1));
    assertThat(KvOptions.preset("quarot", 8).keys().bits()).isEqualTo(8);
    assertRefused(Status.BAD_VALUE, "q5", () -> KvOptions.preset("q5"));
    assertRefused(Status.BAD_VALUE, "", () -> KvOptions.preset(""));
    assertRefused(Status.BAD_VALUE, "bits is 5", () -> KvOptions.preset("best", 5));
    assertRefused(Status.NULL_ARGUMENT, "name", () -> KvOptions.preset(null));
  }

  @ParameterizedTest
  @MethodSource("options")
  void savedPlansAreThePlans(KvOptions options) throws IOException {
    Path file = folder.resolve("model.kv");
    try (KvPlan plan = KvModel.plan(options)) {
      plan.save(file);
      plan.save(file);
      assertThat(Files.readAllBytes(file)).isEqualTo(plan.toBytes());
      try (KvPlan loaded = KvPlan.load(file, GEOMETRY);
          KvPlan again = KvPlan.load(MemorySegment.ofArray(plan.toBytes()), GEOMETRY)) {
        assertThat(loaded.info()).isEqualTo(plan.info());
        assertThat(loaded.options()).isEqualTo(plan.options());
        assertThat(loaded.geometry()).isEqualTo(GEOMETRY);
        assertThat(loaded.toBytes()).isEqualTo(plan.toBytes());
        assertThat(again.toBytes()).isEqualTo(plan.toBytes());
      }
    }
    try (Stream<Path> files = Files.list(folder)) {
      assertThat(files).as("no temporary files").containsExactly(file);
    }
  }

  /** Every option reaches the plan; what one may not be together with is given along. */
  @Test
  void optionsComeBack() {
    List<LayerBits> layerBits = List.of(new LayerBits(2, 8), new LayerBits(3, 4));
    UnaryOperator<KvQuantizer> midpoint = q -> q.withClipMode(ClipMode.MIDPOINT);
    KvOptions preRope = QUAROT.withPreRope(true);
    Stream.of(
            QUAROT.withBits(3, 8),
            QUAROT.withGroup(16),
            QUAROT.withSinks(5, 6).withWindow(48),
            QUAROT.withQuantizer(midpoint.apply(QUAROT.quantizer())),
            QUAROT.withBalance(true),
            QUAROT.withQuantizer(QUAROT.quantizer().withIntegerZero(false)),
            QUAROT.withQuantizer(QUAROT.quantizer().withGrid(Grid.LLOYD_MAX)),
            QUAROT.withLayerBits(layerBits),
            QUAROT.withKeys(QUAROT.keys().withCentered(true).withClip(0.75f)),
            QUAROT.withValues(QUAROT.values().withRotation(Rotation.NONE).withCentered(true)),
            preRope.withKeys(preRope.keys().withRotation(Rotation.GROUP)).withHeadGroup(3),
            preRope.withSort(true))
        .forEach(
            options -> {
              try (KvPlan plan = KvModel.plan(options)) {
                KvOptions actual = plan.options();
                assertThat(actual.preRope()).isEqualTo(options.preRope());
                assertThat(actual.sort()).isEqualTo(options.sort());
                assertThat(actual.balance()).isEqualTo(options.balance());
                assertThat(actual.quantizer()).isEqualTo(options.quantizer());
                assertThat(actual.firstTokens()).isEqualTo(options.firstTokens());
                assertThat(actual.maxSinks()).isEqualTo(options.maxSinks());
                assertThat(actual.window()).isEqualTo(options.window());
                assertSame(options.keys(), actual.keys(), options.sort() ? KEY_COLS : 32);
                assertSame(options.values(), actual.values(), 32);
                if (options.headGroup() > 0) {
                  assertThat(actual.headGroup()).isEqualTo(options.headGroup());
                }
                KvPlan.Info info = plan.info();
                assertThat(info.preRope()).isEqualTo(options.preRope());
                assertThat(info.window()).isEqualTo(options.window());
                assertThat(info.firstTokens()).isEqualTo(options.firstTokens());
                assertThat(info.maxSinks()).isEqualTo(options.maxSinks());
                assertThat(info.layers()).isEqualTo(GEOMETRY.layers());
              }
            });
    try (KvPlan plan = KvPlan.of(GEOMETRY, QUAROT.withLayerBits(layerBits))) {
      assertThat(plan.options().layerBits()).isEqualTo(layerBits);
    }
  }

  /** A group is never longer than what it is of. */
  private static void assertSame(KvCoding expected, KvCoding actual, int channels) {
    assertThat(actual).isIn(expected, expected.withGroup(Math.min(expected.group(), channels)));
  }

  @Test
  void bytesOfLlama3() {
    KvGeometry llama = KvGeometry.of(32, 32, 8, 128);
    try (KvPlan plan = KvPlan.of(llama, KvOptions.preset("quarot"))) {
      KvPlan.Info info = plan.info();
      // 2 x 8 x 128 codes of 2 bits, and for each head two bytes of keys and two of values.
      assertThat(info.tileBytes()).isEqualTo(32L * 16 * (2 * 8 * 128 / 4 + 2 * 8 * 2));
      assertThat(info.tileBytes() / 16 / 32).isLessThanOrEqualTo(545);
      assertThat(info.tokenHalfBytes()).isEqualTo(32L * 2 * 8 * 128 * 2);
      assertThat(info.bitsKeys()).isEqualTo(2 + 16.0 / 128);
      assertThat(info.bitsValues()).isEqualTo(2 + 16.0 / 128);
    }
  }

  @Test
  void flippedBytesAreRefused() {
    try (KvPlan plan = KvModel.plan(KvOptions.preset("rotatekv"))) {
      byte[] bytes = plan.toBytes();
      for (int i = 0; i < bytes.length; i++) {
        byte good = bytes[i];
        bytes[i] ^= 4;
        assertRefused(Status.BAD_DATA, "offset", () -> load(bytes, bytes.length));
        bytes[i] = good;
      }
      for (int length : new int[] {0, 1, 8, 64, bytes.length - 1}) {
        assertRefused(Status.BAD_DATA, "", () -> load(bytes, length));
      }
      assertRefused(
          Status.BAD_DATA,
          "",
          () -> KvPlan.load(MemorySegment.ofArray(bytes), GEOMETRY.withScale(0.5f)));
    }
  }

  private static void load(byte[] bytes, int length) {
    KvPlan.load(MemorySegment.ofArray(bytes).asSlice(0, length), GEOMETRY).close();
  }

  @Test
  void calibrationsCanBeMerged() {
    KvOptions options = KvOptions.preset("rotatekv");
    float[] k = KvModel.rows(7, 400, KEY_COLS);
    float[] v = KvModel.rows(8, 400, KEY_COLS);
    try (KvCalibration whole = KvCalibration.of(GEOMETRY);
        KvCalibration first = KvCalibration.of(GEOMETRY);
        KvCalibration second = KvCalibration.of(GEOMETRY)) {
      for (int layer = 0; layer < KvModel.LAYERS; layer++) {
        whole.add(layer, k, v);
        add(first, layer, k, v, 0, 150);
        add(second, layer, k, v, 150, 250);
      }
      assertRefused(Status.BAD_VALUE, "256", () -> KvPlan.of(GEOMETRY, options, second).close());
      first.merge(second);
      try (KvPlan expected = KvPlan.of(GEOMETRY, options, whole);
          KvPlan actual = KvPlan.of(GEOMETRY, options, first)) {
        assertThat(actual.toBytes()).isEqualTo(expected.toBytes());
      }
      assertThat(first.geometry()).isEqualTo(GEOMETRY);
      assertRefused(Status.BAD_VALUE, "itself", () -> first.merge(first));
      assertRefused(Status.NULL_ARGUMENT, "other", () -> first.merge(null));
      float[] bad = k.clone();
      bad[2 * KEY_COLS + 5] = Float.POSITIVE_INFINITY;
      assertRefused(Status.BAD_DATA, "", () -> first.add(0, bad, v));
      assertRefused(Status.BAD_VALUE, "layer", () -> first.add(2, k, v));
      close(second);
      close(second);
      assertThatThrownBy(() -> first.merge(second))
          .isInstanceOf(IllegalStateException.class)
          .hasMessage("KvCalibration is closed");
      assertThatThrownBy(() -> KvPlan.of(GEOMETRY, options, second))
          .isInstanceOf(IllegalStateException.class);
      KvPlan.of(GEOMETRY, options, first).close(); // not left taken by the refused calls
    }
  }

  private static void close(KvCalibration calibration) {
    calibration.close();
  }

  private static void add(
      KvCalibration calibration, int layer, float[] k, float[] v, int first, int rows) {
    calibration.add(
        layer, KvModel.part(k, first, rows, KEY_COLS), KvModel.part(v, first, rows, KEY_COLS));
  }

  @Test
  void badGeometriesAreRefused() {
    for (KvGeometry bad :
        List.of(
            KvGeometry.of(0, 4, 2, 64),
            KvGeometry.of(1025, 4, 2, 64),
            KvGeometry.of(Integer.MAX_VALUE, 4, 2, 64),
            KvGeometry.of(1, 0, 2, 64),
            KvGeometry.of(1, 5, 2, 64),
            KvGeometry.of(1, 1L << 40, 1, 64),
            KvGeometry.of(1, 4, 0, 64),
            KvGeometry.of(1, 1 << 20, 1 << 20, 64),
            KvGeometry.of(1, 4, 2, 24),
            KvGeometry.of(1, 4, 2, 1L << 60),
            GEOMETRY.withScale(Float.NaN),
            GEOMETRY.withSoftCap(-1),
            GEOMETRY.withWindows(List.of(3L)),
            GEOMETRY.withWindows(List.of(3L, -1L)),
            GEOMETRY.withRope(RopeScaling.none(10000), 64, false),
            new KvGeometry(
                1, 4, 2, 64, 1, 0, List.of(), Collections.nCopies(3, Double.NaN), 1, false))) {
      assertThatThrownBy(() -> KvPlan.of(bad, QUAROT))
          .as("%s", bad)
          .isInstanceOf(SylvesterException.class);
      assertThatThrownBy(() -> KvCalibration.of(bad))
          .as("%s", bad)
          .isInstanceOf(SylvesterException.class);
    }
    assertRefused(Status.NULL_ARGUMENT, "windows", () -> GEOMETRY.withWindows(null));
    assertRefused(Status.NULL_ARGUMENT, "geometry", () -> KvPlan.of(null, QUAROT));
    assertRefused(Status.NULL_ARGUMENT, "options", () -> KvPlan.of(GEOMETRY, null));
  }

  @Test
  void badOptionsAreRefused() {
    assertPlanRefused(Status.BAD_VALUE, QUAROT.withBits(5, 2));
    assertPlanRefused(Status.BAD_VALUE, QUAROT.withBits(258, 2));
    assertPlanRefused(Status.BAD_VALUE, QUAROT.withWindow(17));
    assertPlanRefused(Status.BAD_VALUE, QUAROT.withSinks(65, 0));
    assertPlanRefused(Status.BAD_VALUE, QUAROT.withKeys(QUAROT.keys().withClip(0)));
    assertPlanRefused(Status.BAD_VALUE, QUAROT.withKeys(QUAROT.keys().withClip(Float.NaN)));
    assertPlanRefused(Status.UNSUPPORTED, QUAROT.withSort(true));
    assertPlanRefused(
        Status.UNSUPPORTED, QUAROT.withKeys(QUAROT.keys().withRotation(Rotation.GROUP)));
    assertPlanRefused(Status.BAD_SHAPE, QUAROT.withLayerBits(List.of(new LayerBits(2, 2))));
    LayerBits good = new LayerBits(2, 2);
    assertPlanRefused(Status.BAD_VALUE, QUAROT.withLayerBits(List.of(good, new LayerBits(2, 5))));
    assertPlanRefused(Status.BAD_VALUE, QUAROT.withLayerBits(List.of(good, new LayerBits(258, 2))));
    assertRefused(
        Status.NULL_ARGUMENT, "calibration", () -> KvPlan.of(GEOMETRY, KvOptions.preset("best")));
    assertRefused(Status.NULL_ARGUMENT, "keys", () -> QUAROT.withKeys(null));
  }

  private static void assertPlanRefused(Status status, KvOptions options) {
    assertRefused(status, "", () -> KvPlan.of(GEOMETRY, options));
  }

  @Test
  void filesThatCannotBeReadOrWritten() throws IOException {
    assertThatThrownBy(() -> KvPlan.load(folder.resolve("none"), GEOMETRY))
        .isInstanceOf(NoSuchFileException.class);
    Path empty = Files.createFile(folder.resolve("empty"));
    assertRefused(Status.BAD_DATA, "", () -> KvPlan.load(empty, GEOMETRY));
    try (KvPlan plan = KvPlan.of(GEOMETRY, QUAROT)) {
      Path full = Files.createDirectory(folder.resolve("folder"));
      Files.createFile(full.resolve("file"));
      assertThatThrownBy(() -> plan.save(full)).isInstanceOf(IOException.class);
      assertThat(folder.toFile().list()).containsExactlyInAnyOrder("empty", "folder");
      assertRefused(Status.NULL_ARGUMENT, "file", () -> plan.save(null));
    }
    MemorySegment gone;
    try (Arena arena = Arena.ofConfined()) {
      gone = arena.allocate(64);
    }
    assertThatThrownBy(() -> KvPlan.load(gone, GEOMETRY)).isInstanceOf(IllegalStateException.class);
  }
}
