package dev.sylvester.kernels;

import static dev.sylvester.kernels.TestData.assertPaddingUntouched;
import static dev.sylvester.kernels.TestData.assertRefused;
import static dev.sylvester.kernels.TestData.blank;
import static dev.sylvester.kernels.TestData.floats;
import static dev.sylvester.kernels.TestData.gaussian;
import static dev.sylvester.kernels.TestData.get;
import static dev.sylvester.kernels.TestData.rows;
import static dev.sylvester.kernels.TestData.toArray;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import dev.sylvester.kernels.KronAdapter.Segment;
import dev.sylvester.kernels.RankRule.Elbow;
import dev.sylvester.kernels.RankRule.Layer;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class KronTest {
  private static final KronShape SHAPE = new KronShape(3, 4, 5, 2);
  private static final int TERMS = 2;

  private final Arena arena = Arena.ofConfined();
  private final Workspace workspace = new Workspace();

  @AfterEach
  void free() {
    workspace.close();
    arena.close();
  }

  private KronFactors factors(KronShape shape, int terms, long seed) {
    return KronFactors.of(
        DType.F32,
        terms,
        shape,
        floats(arena, gaussian(seed, terms * shape.m() * shape.n())),
        floats(arena, gaussian(seed + 1, terms * shape.p() * shape.q())));
  }

  /** Element (o, i) of the sum, by its definition. */
  private static double element(KronFactors f, long o, long i) {
    KronShape s = f.shape();
    double sum = 0;
    for (long k = 0; k < f.terms(); k++) {
      sum +=
          (double) get(f.u(), (k * s.m() + o / s.p()) * s.n() + i / s.q())
              * get(f.v(), (k * s.p() + o % s.p()) * s.q() + i % s.q());
    }
    return sum;
  }

  @Test
  void shapesAreCutAsPeftDoes() {
    assertThat(KronShape.factored(14336, 4096, -1)).isEqualTo(new KronShape(112, 64, 128, 64));
    assertThat(KronShape.factored(4096, 4096, 4)).isEqualTo(new KronShape(4, 4, 1024, 1024));
    assertThat(KronShape.lora(30, 20)).isEqualTo(new KronShape(30, 1, 1, 20));
    assertThat(KronShape.factored(960, 576, -1).out()).isEqualTo(960);
    assertThat(KronShape.factored(960, 576, -1).in()).isEqualTo(576);
    assertRefused(Status.BAD_VALUE, "dim is 0", () -> KronShape.factorize(0, -1));
  }

  /** Of q_proj and v_proj of Llama-3.2-3B, rank 32: the numbers of PEFT's method comparison. */
  @Test
  void parametersAreCountedAsPeftDoes() {
    assertThat(28 * (lokrParameters(3072, -1) + lokrParameters(1024, -1))).isEqualTo(279_552);
    assertThat(28 * (lokrParameters(3072, 4) + lokrParameters(1024, 4))).isEqualTo(2_294_656);
    KronFactors q = factors(KronShape.lora(3072, 3072), 32, 1);
    KronFactors v = factors(KronShape.lora(1024, 3072), 32, 1);
    assertThat(28 * (q.cost().parameters() + v.cost().parameters())).isEqualTo(9_175_040);
  }

  /** PEFT splits w2 by rank where that is below half of its larger side. */
  private static long lokrParameters(long out, long factor) {
    KronShape s = KronShape.factored(out, 3072, factor);
    boolean split = 32 < Math.max(s.p(), s.q()) / 2.0;
    return s.m() * s.n() + (split ? 32 * (s.p() + s.q()) : s.p() * s.q());
  }

  @Test
  void costsAreTold() {
    KronFactors.Cost cost = factors(new KronShape(64, 64, 64, 64), 8, 1).cost();
    assertThat(cost.order()).isEqualTo(KronFactors.Order.U_FIRST);
    assertThat(cost.parameters()).isEqualTo(8 * 8192);
    assertThat(cost.flop()).isEqualTo(8L << 20);
    assertThat(cost.packedBytes()).isGreaterThan(4 * 8 * 8192);
  }

  @Test
  void appliesTheSum() {
    for (KronShape shape : List.of(SHAPE, KronShape.lora(7, 9))) {
      KronFactors factors = factors(shape, TERMS, 3);
      KronAdapter adapter = KronAdapter.pack(factors, arena);
      KronAdapter transposed = KronAdapter.packTransposed(factors, arena);
      assertThat(adapter.bytes()).isEqualTo(factors.cost().packedBytes());
      long out = shape.out();
      long in = shape.in();
      assertThat(List.of(adapter.out(), adapter.in(), transposed.out(), transposed.in()))
          .containsExactly(out, in, in, out);
      MemorySegment x = rows(arena, 5, 3, in, in + 1);
      MemorySegment y = blank(arena, 3, out, out + 2);
      adapter.apply(0.5f, x, in + 1, 3, false, y, out + 2, workspace, null);
      assertPaddingUntouched(y, out, out + 2);
      MemorySegment back = arena.allocate(JAVA_FLOAT, in);
      transposed.apply(2, y, out, 1, true, back, in, workspace, null);
      for (long r = 0; r < 3; r++) {
        for (long o = 0; o < out; o++) {
          double want = 0;
          for (long i = 0; i < in; i++) {
            want += 0.5 * element(factors, o, i) * get(x, r * (in + 1) + i);
          }
          assertThat((double) get(y, r * (out + 2) + o)).isCloseTo(want, offset(1e-5));
        }
      }
      for (long i = 0; i < in; i++) {
        double want = 0;
        for (long o = 0; o < out; o++) {
          want += 2 * element(factors, o, i) * get(y, o);
        }
        assertThat((double) get(back, i)).isCloseTo(want, offset(1e-4));
      }
    }
  }

  @Test
  void segmentsAreALoop() {
    KronAdapter kron = KronAdapter.pack(factors(SHAPE, 3, 7), arena);
    KronAdapter lora = KronAdapter.pack(factors(KronShape.lora(15, 8), 2, 8), arena);
    MemorySegment x = rows(arena, 9, 6, 8, 8);
    MemorySegment got = rows(arena, 10, 6, 15, 15);
    float[] want = toArray(got);
    MemorySegment wanted = floats(arena, want);
    kron.apply(0.5f, x, 8, 2, true, wanted, 15, workspace, null);
    lora.apply(2, x.asSlice(3 * 32), 8, 3, true, wanted.asSlice(3 * 60), 15, workspace, null);
    List<Segment> segments =
        List.of(new Segment(2, kron, 0.5f), new Segment(1, null, 1), new Segment(3, lora, 2));
    try (ThreadPool pool = ThreadPool.of(2)) {
      KronAdapter.applySegments(segments, 15, 8, x, 8, true, got, 15, workspace, pool);
    }
    assertThat(toArray(got)).isEqualTo(toArray(wanted));
    assertRefused(
        Status.BAD_SHAPE,
        "x has 160 bytes",
        () ->
            KronAdapter.applySegments(
                segments, 15, 8, x.asSlice(0, 5 * 32), 8, true, got, 15, workspace, null));
    assertRefused(
        Status.BAD_SHAPE,
        "must be 14 x 8",
        () ->
            KronAdapter.applySegments(
                List.of(new Segment(1, lora, 1)), 14, 8, x, 8, true, got, 15, workspace, null));
  }

  @Test
  void deltasAreAddedAndTakenAway() {
    KronFactors factors = factors(SHAPE, TERMS, 11);
    MemorySegment w = blank(arena, 15, 8, 9);
    factors.writeDelta(0.5, false, DType.F32, w, 9, null);
    assertPaddingUntouched(w, 8, 9);
    for (long o = 0; o < 15; o++) {
      for (long i = 0; i < 8; i++) {
        assertThat((double) get(w, o * 9 + i))
            .isCloseTo(0.5 * element(factors, o, i), offset(1e-6));
      }
    }
    factors.writeDelta(-0.5, true, DType.F32, w, 9, null);
    assertThat(get(w, 0)).isCloseTo(0, offset(1e-7f));
    assertRefused(
        Status.BAD_SHAPE, "w has", () -> factors.writeDelta(1, false, DType.F32, w, 10, null));
    assertRefused(
        Status.BAD_VALUE, "type is 8", () -> factors.writeDelta(1, false, DType.Q8_0, w, 9, null));
  }

  /** Subtraction would leave roundings, which the last assertion is about. */
  @Test
  void closingRestoresEveryByte() {
    KronFactors factors = factors(SHAPE, TERMS, 21);
    for (DType type : List.of(DType.F32, DType.F16, DType.BF16)) {
      MemorySegment w = floats(arena, gaussian(22, 15 * 9));
      if (type != DType.F32) {
        MemorySegment floats = w;
        w = arena.allocate(15 * 9 * Short.BYTES);
        type.fromFloat(floats, 15 * 9, w);
      }
      byte[] before = w.toArray(JAVA_BYTE);
      for (int cycle = 0; cycle < 1000; cycle++) {
        Merged merged = factors.mergeInto(0.01 * (cycle + 1), type, w, 9, null);
        assertThat(w.mismatch(MemorySegment.ofArray(before))).isNotEqualTo(-1);
        merged.close();
      }
      assertThat(w.toArray(JAVA_BYTE)).isEqualTo(before);
      factors.writeDelta(0.3, true, type, w, 9, null);
      factors.writeDelta(-0.3, true, type, w, 9, null);
      assertThat(w.toArray(JAVA_BYTE)).isNotEqualTo(before);
    }
    MemorySegment small = arena.allocate(100);
    assertRefused(Status.BAD_SHAPE, "w has", () -> factors.mergeInto(1, DType.F32, small, 8, null));
  }

  /** The loss g . (delta x) is linear in u: its gradient times u is the loss. */
  @Test
  void gradientsAreThoseOfTheSum() {
    KronFactors factors = factors(SHAPE, TERMS, 13);
    MemorySegment x = rows(arena, 14, 5, 8, 8);
    MemorySegment g = rows(arena, 15, 5, 15, 15);
    MemorySegment du = arena.allocate(factors.u().byteSize());
    MemorySegment dv = arena.allocate(factors.v().byteSize());
    MemorySegment dx = arena.allocate(x.byteSize());
    factors.addGradient(0.5f, x, g, 5, du, dv, dx, workspace, null);
    MemorySegment y = arena.allocate(JAVA_FLOAT, 75);
    KronAdapter.pack(factors, arena).apply(0.5f, x, 8, 5, false, y, 15, workspace, null);
    double loss = dot(y, g);
    assertThat(dot(du, factors.u())).isCloseTo(loss, offset(1e-4));
    assertThat(dot(dv, factors.v())).isCloseTo(loss, offset(1e-4));
    assertThat(dot(dx, x)).isCloseTo(loss, offset(1e-4));
    assertRefused(
        Status.BAD_SHAPE,
        "du has",
        () -> factors.addGradient(1, x, g, 5, du.asSlice(4), dv, null, workspace, null));
  }

  private static double dot(MemorySegment a, MemorySegment b) {
    double sum = 0;
    for (long i = 0; i < a.byteSize() / Float.BYTES; i++) {
      sum += (double) get(a, i) * get(b, i);
    }
    return sum;
  }

  @Test
  void ranksFollowTheRule() {
    double[] sigma = {10, 9, 8, 1, 0.5, 0.25};
    assertThat(RankRule.energy(0.5).rank(sigma, 0)).isEqualTo(2);
    assertThat(RankRule.energy(0.5).rank(sigma, 1000)).isEqualTo(6);
    assertThat(RankRule.elbow(Elbow.CHORD).rank(sigma, 0)).isEqualTo(4);
    assertThat(RankRule.elbow(Elbow.RATIO).rank(sigma, 0)).isEqualTo(3);
    assertThat(RankRule.elbow(Elbow.CURVATURE).rank(sigma, 0)).isEqualTo(4);
    assertThat(RankRule.fewer(0.5, Elbow.RATIO).rank(sigma, 0)).isEqualTo(2);
    assertThat(RankRule.more(0.5, Elbow.RATIO).rank(sigma, 0)).isEqualTo(3);
    assertThat(RankRule.more(0.5, Elbow.RATIO).within(1, 2).rank(sigma, 0)).isEqualTo(2);
    assertRefused(Status.BAD_VALUE, "share is 2", () -> RankRule.energy(2).rank(sigma, 0));
    assertRefused(Status.BAD_VALUE, "count is 0", () -> RankRule.energy(1).rank(new double[0], 0));
  }

  @Test
  void budgetsAreSharedByWorth() {
    List<Layer> layers =
        List.of(new Layer(new double[] {3, 2, 1}, 1), new Layer(new double[] {4, 2}, 2));
    assertThat(RankRule.budget(layers, 6)).containsExactly(2, 2);
    assertThat(RankRule.budget(layers, 0)).containsExactly(0, 0);
    assertRefused(Status.BAD_VALUE, "layers is 0", () -> RankRule.budget(List.of(), 5));
  }

  @Test
  void badFactorsAreRefused() {
    MemorySegment some = arena.allocate(JAVA_FLOAT, 24);
    MemorySegment heap = MemorySegment.ofArray(new float[24]);
    assertRefused(
        Status.BAD_SHAPE,
        "v has 36 bytes, the shape needs 80",
        () -> KronFactors.of(DType.F32, 2, SHAPE, some, some.asSlice(60)));
    assertRefused(
        Status.BAD_VALUE, "Java heap", () -> KronFactors.of(DType.F32, 2, SHAPE, heap, some));
    assertRefused(
        Status.BAD_VALUE, "type is 28", () -> KronFactors.of(DType.F64, 2, SHAPE, some, some));
    assertRefused(
        Status.BAD_VALUE,
        "m is",
        () -> KronFactors.of(DType.F32, 1, new KronShape(1L << 40, 1, 1, 1), some, some));
    assertRefused(
        Status.BAD_VALUE, "terms is 0", () -> KronFactors.of(DType.F32, 0, SHAPE, some, some));
  }
}
