package dev.sylvester.kernels;

import static dev.sylvester.kernels.TestData.assertRefused;
import static dev.sylvester.kernels.TestData.floats;
import static dev.sylvester.kernels.TestData.gaussian;
import static dev.sylvester.kernels.TestData.get;
import static dev.sylvester.kernels.TestData.rows;
import static dev.sylvester.kernels.TestData.set;
import static dev.sylvester.kernels.TestData.toArray;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import dev.sylvester.kernels.AcceptanceHead.Shape;
import dev.sylvester.kernels.AcceptanceHeadTrainer.Options;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class AcceptanceHeadTest {
  private static final int WIDTH = 12;
  private static final long ROWS = 64;

  private final Arena arena = Arena.ofConfined();
  private final Workspace workspace = new Workspace();

  @AfterEach
  void free() {
    workspace.close();
    arena.close();
  }

  private AcceptanceHead head(Shape shape, float shift, float scale) {
    float[] parameters = gaussian(1, shape.parameters());
    for (int i = 0; i < parameters.length; i++) {
      parameters[i] *= 0.3f;
    }
    return AcceptanceHead.of(shape, floats(arena, parameters), shift, scale, arena);
  }

  @ParameterizedTest
  @CsvSource({"0, false, 26", "2, false, 338", "2, true, 182"})
  void predictsByTheFormula(int blocks, boolean tied, long parameters) {
    Shape shape = new Shape(WIDTH, blocks, tied);
    assertThat(shape.parameters()).isEqualTo(parameters);
    AcceptanceHead head = head(shape, 1.5f, 0.5f);
    MemorySegment hidden = rows(arena, 2, ROWS, WIDTH, WIDTH + 1);
    MemorySegment got = arena.allocate(JAVA_FLOAT, ROWS);
    head.accept(hidden, WIDTH + 1, ROWS, got, workspace, null);
    for (int row = 0; row < ROWS; row++) {
      MemorySegment x = hidden.asSlice(row * (WIDTH + 1) * 4L, WIDTH * 4L);
      double want = 1 / (1 + Math.exp(-(logit(head, toArray(x)) + 1.5) * 0.5));
      assertThat((double) get(got, row)).isCloseTo(want, offset(1e-6));
      assertThat(head.accept(x, workspace, null)).isEqualTo(get(got, row));
    }
  }

  private static double logit(AcceptanceHead head, float[] hidden) {
    float[] p = toArray(head.parameters());
    double[] x = new double[WIDTH];
    for (int i = 0; i < WIDTH; i++) {
      x[i] = hidden[i];
    }
    int at = 0;
    for (int block = 0; block < head.shape().blocks(); block++) {
      at = head.shape().tied() ? 0 : at;
      double[] next = x.clone();
      for (int o = 0; o < WIDTH; o++) {
        double u = p[at + WIDTH * WIDTH + o];
        for (int i = 0; i < WIDTH; i++) {
          u += p[at + o * WIDTH + i] * x[i];
        }
        next[o] += u / (1 + Math.exp(-u));
      }
      x = next;
      at += WIDTH * WIDTH + WIDTH;
    }
    double z = p[at + 2 * WIDTH + 1] - p[at + 2 * WIDTH];
    for (int i = 0; i < WIDTH; i++) {
      z += (p[at + WIDTH + i] - p[at + i]) * x[i];
    }
    return z;
  }

  @Test
  void aHiddenStateThatIsNoNumberGivesNone() {
    MemorySegment hidden = rows(arena, 2, 1, WIDTH, WIDTH);
    set(hidden, 3, Float.NaN);
    assertThat(head(new Shape(WIDTH, 1, false), 0, 1).accept(hidden, workspace, null)).isNaN();
  }

  @Test
  void calibrationChangesNothingElse() {
    AcceptanceHead head = head(new Shape(WIDTH, 1, false), 0, 1);
    AcceptanceHead calibrated = head.calibrated(2, 0.25f, arena);
    assertThat(calibrated.shape()).isEqualTo(head.shape());
    assertThat(calibrated.shift()).isEqualTo(2);
    assertThat(calibrated.scale()).isEqualTo(0.25f);
    assertThat(toArray(calibrated.parameters())).isEqualTo(toArray(head.parameters()));
    assertThat(calibrated.parameters().isReadOnly()).isTrue();
  }

  @Test
  void badArgumentsAreRefused() {
    Shape shape = new Shape(WIDTH, 1, false);
    MemorySegment parameters = floats(arena, gaussian(1, shape.parameters()));
    assertRefused(Status.BAD_VALUE, "width is 0", () -> new Shape(0, 1, false).parameters());
    assertRefused(Status.BAD_VALUE, "blocks is 65", () -> new Shape(WIDTH, 65, false).parameters());
    assertRefused(
        Status.BAD_SHAPE,
        "parameters has",
        () -> AcceptanceHead.of(shape, parameters.asSlice(4), 0, 1, arena));
    assertRefused(
        Status.BAD_VALUE, "scale is 0", () -> AcceptanceHead.of(shape, parameters, 0, 0, arena));
    assertRefused(
        Status.BAD_VALUE,
        "shift is nan",
        () -> AcceptanceHead.of(shape, parameters, Float.NaN, 1, arena));
    AcceptanceHead head = AcceptanceHead.of(shape, parameters, 0, 1, arena);
    MemorySegment hidden = rows(arena, 2, 2, WIDTH, WIDTH);
    MemorySegment out = arena.allocate(JAVA_FLOAT, 2);
    assertRefused(
        Status.BAD_SHAPE,
        "hidden has",
        () -> head.accept(hidden.asSlice(0, 4 * WIDTH - 1), workspace, null));
    assertRefused(
        Status.BAD_SHAPE, "hidden has", () -> head.accept(hidden, WIDTH, 3, out, workspace, null));
    assertRefused(
        Status.BAD_SHAPE,
        "acceptance has",
        () -> head.accept(hidden, WIDTH, 2, out.asSlice(4), workspace, null));
    assertRefused(
        Status.BAD_VALUE,
        "read-only",
        () -> head.accept(hidden, WIDTH, 2, out.asReadOnly(), workspace, null));
    assertRefused(
        Status.BAD_SHAPE,
        "stride is 11",
        () -> head.accept(hidden, WIDTH - 1, 2, out, workspace, null));
  }

  // ---- Training ----

  private static final Options FAST = new Options(0.02f, 0.03f, 0, 1, 6);

  private MemorySegment labels() {
    SplittableRandom random = new SplittableRandom(3);
    float[] labels = new float[(int) ROWS];
    for (int i = 0; i < labels.length; i++) {
      labels[i] = random.nextBoolean() ? 1 : 0;
    }
    return floats(arena, labels);
  }

  @ParameterizedTest
  @CsvSource({"1, false", "3, false", "3, true"})
  void learns64RowsByHeart(int blocks, boolean tied) {
    MemorySegment hidden = rows(arena, 4, ROWS, WIDTH, WIDTH);
    MemorySegment labels = labels();
    Shape shape = new Shape(WIDTH, blocks, tied);
    int steps = 600;
    try (ThreadPool pool = ThreadPool.of(2);
        AcceptanceHeadTrainer trainer = AcceptanceHeadTrainer.of(shape, FAST, steps, 5, pool)) {
      double first = trainer.step(hidden, WIDTH, labels, ROWS);
      double last = first;
      for (int i = 1; i < steps; i++) {
        last = trainer.step(hidden, WIDTH, labels, ROWS);
      }
      assertThat(first).isBetween(0.3, 2.0);
      assertThat(last).isLessThan(0.02);
      AcceptanceHead head = trainer.head(0, 1, arena);
      MemorySegment got = arena.allocate(JAVA_FLOAT, ROWS);
      head.accept(hidden, WIDTH, ROWS, got, workspace, pool);
      for (int row = 0; row < ROWS; row++) {
        assertThat(get(got, row)).isCloseTo(get(labels, row), offset(0.2f));
      }
    }
  }

  /** A label of 0.9 is learnt as odds of 9 / 6, and shift makes it 0.9 again. */
  @Test
  void shiftUndoesTheWeightOfRejections() {
    MemorySegment hidden = arena.allocate(JAVA_FLOAT, WIDTH);
    MemorySegment label = floats(arena, 0.9f);
    Shape shape = new Shape(WIDTH, 0, false);
    try (AcceptanceHeadTrainer trainer = AcceptanceHeadTrainer.of(shape, FAST, 800, 5, null)) {
      for (int i = 0; i < 800; i++) {
        trainer.step(hidden, WIDTH, label, 1);
      }
      AcceptanceHead raw = trainer.head(0, 1, arena);
      assertThat(raw.accept(hidden, workspace, null)).isCloseTo(0.6f, offset(1e-3f));
      AcceptanceHead undone = trainer.head(FAST.shift(), 1, arena);
      assertThat(undone.accept(hidden, workspace, null)).isCloseTo(0.9f, offset(1e-3f));
    }
  }

  @Test
  void aSeedFixesTheHead() {
    MemorySegment hidden = rows(arena, 4, ROWS, WIDTH, WIDTH);
    float[] first = trained(hidden, 5);
    assertThat(trained(hidden, 5)).isEqualTo(first);
    assertThat(trained(hidden, 6)).isNotEqualTo(first);
  }

  private float[] trained(MemorySegment hidden, long seed) {
    Shape shape = new Shape(WIDTH, 1, false);
    MemorySegment labels = labels();
    try (AcceptanceHeadTrainer trainer =
        AcceptanceHeadTrainer.of(shape, Options.DEFAULT, 20, seed, null)) {
      for (int i = 0; i < 20; i++) {
        trainer.step(hidden, WIDTH, labels, ROWS);
      }
      return toArray(trainer.head(0, 1, arena).parameters());
    }
  }

  @Test
  void aBatchOfIgnoredRowsIsNoStep() {
    MemorySegment hidden = rows(arena, 4, 2, WIDTH, WIDTH);
    MemorySegment labels = floats(arena, Float.NaN, Float.NaN);
    Shape shape = new Shape(WIDTH, 1, false);
    try (AcceptanceHeadTrainer trainer =
        AcceptanceHeadTrainer.of(shape, Options.DEFAULT, 20, 5, null)) {
      float[] before = toArray(trainer.head(0, 1, arena).parameters());
      assertThat(trainer.step(hidden, WIDTH, labels, 2)).isZero();
      assertThat(toArray(trainer.head(0, 1, arena).parameters())).isEqualTo(before);
    }
  }

  /** Adam's first step is the learning rate: with warm-up over half of the steps, a tenth of it. */
  @Test
  void theLearningRateRisesAndFalls() {
    Shape shape = new Shape(1, 0, false);
    MemorySegment hidden = floats(arena, 1);
    MemorySegment label = floats(arena, 1);
    Options options = new Options(0.1f, 0.5f, 0, 1, 1);
    try (AcceptanceHeadTrainer trainer = AcceptanceHeadTrainer.of(shape, options, 20, 5, null)) {
      double before = parameter(trainer);
      double[] steps = new double[20];
      for (int i = 0; i < 20; i++) {
        trainer.step(hidden, 1, label, 1);
        steps[i] = parameter(trainer) - before;
        before += steps[i];
      }
      // Close to the rate, since the gradient hardly changes direction or size.
      assertThat(steps[0]).isCloseTo(0.01, offset(1e-4));
      assertThat(steps[4]).isCloseTo(0.05, offset(5e-3));
      assertThat(steps[19]).isBetween(0.0, 0.005);
      assertThat(steps[9]).isGreaterThan(steps[3]).isGreaterThan(steps[15]);
    }
  }

  private double parameter(AcceptanceHeadTrainer trainer) {
    return toArray(trainer.head(0, 1, arena).parameters())[1];
  }

  @Test
  void trainersRefuseBadArguments() {
    Shape shape = new Shape(WIDTH, 1, false);
    assertRefused(
        Status.BAD_VALUE,
        "steps is 0",
        () -> AcceptanceHeadTrainer.of(shape, Options.DEFAULT, 0, 1, null));
    MemorySegment hidden = rows(arena, 4, 2, WIDTH, WIDTH);
    MemorySegment labels = floats(arena, 0, 1.5f);
    Options worthless = Options.DEFAULT.withRejectWeight(0);
    try (AcceptanceHeadTrainer trainer =
            AcceptanceHeadTrainer.of(shape, Options.DEFAULT, 9, 1, null);
        AcceptanceHeadTrainer bad = AcceptanceHeadTrainer.of(shape, worthless, 9, 1, null)) {
      assertRefused(
          Status.BAD_VALUE, "labels[1] is 1.5", () -> trainer.step(hidden, WIDTH, labels, 2));
      assertRefused(
          Status.BAD_SHAPE, "labels has", () -> trainer.step(hidden, WIDTH, labels.asSlice(4), 2));
      assertRefused(
          Status.BAD_SHAPE, "hidden has", () -> trainer.step(hidden, WIDTH + 13, labels, 2));
      assertRefused(
          Status.BAD_VALUE, "reject_weight is 0", () -> bad.step(hidden, WIDTH, labels, 1));
    }
  }
}
