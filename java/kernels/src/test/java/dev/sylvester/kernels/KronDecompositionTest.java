package dev.sylvester.kernels;

import static dev.sylvester.kernels.TestData.assertRefused;
import static dev.sylvester.kernels.TestData.blank;
import static dev.sylvester.kernels.TestData.floats;
import static dev.sylvester.kernels.TestData.gaussian;
import static dev.sylvester.kernels.TestData.get;
import static dev.sylvester.kernels.TestData.rows;
import static dev.sylvester.kernels.TestData.set;
import static dev.sylvester.kernels.TestData.toArray;
import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.data.Offset.offset;

import dev.sylvester.kernels.KronDecomposition.Method;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class KronDecompositionTest {
  private static final KronShape SHAPE = new KronShape(3, 4, 5, 2);

  private final Arena arena = Arena.ofConfined();

  @AfterEach
  void free() {
    arena.close();
  }

  private static KronDecomposition decompose(KronShape shape, MemorySegment w, int terms) {
    return KronDecomposition.of(shape, DType.F32, w, shape.in(), terms, Method.AUTO, 0, null);
  }

  /** A sum of random terms, by the definition of the product. */
  private MemorySegment sum(KronShape s, int terms) {
    float[] u = gaussian(1, terms * s.m() * s.n());
    float[] v = gaussian(2, terms * s.p() * s.q());
    float[] w = new float[(int) (s.out() * s.in())];
    for (int i = 0; i < w.length; i++) {
      long o = i / s.in();
      long c = i % s.in();
      double sum = 0;
      for (int k = 0; k < terms; k++) {
        sum +=
            (double) u[(int) ((k * s.m() + o / s.p()) * s.n() + c / s.q())]
                * v[(int) ((k * s.p() + o % s.p()) * s.q() + c % s.q())];
      }
      w[i] = (float) sum;
    }
    return floats(arena, w);
  }

  @Test
  void sumsOfTermsAreRecovered() {
    for (KronShape shape : List.of(SHAPE, KronShape.lora(9, 7), new KronShape(8, 6, 6, 8))) {
      MemorySegment w = sum(shape, 3);
      KronDecomposition found = decompose(shape, w, 4);
      assertThat(found.shape()).isEqualTo(shape);
      double[] sigma = found.sigma();
      assertThat(sigma[3]).isLessThan(1e-6 * sigma[0]);
      assertThat(RankRule.energy(1 - 1e-10).rank(sigma, found.energy())).isEqualTo(3);
      MemorySegment rest = floats(arena, toArray(w));
      found.factors(3, arena).writeDelta(-1, true, DType.F32, rest, shape.in(), null);
      for (float left : toArray(rest)) {
        assertThat(left).isCloseTo(0, offset(1e-5f));
      }
    }
  }

  @Test
  void whatIsMissedIsTheOtherSigma() {
    MemorySegment w = rows(arena, 3, 15, 8, 9);
    KronDecomposition found =
        KronDecomposition.of(SHAPE, DType.F32, w, 9, 10, Method.EXACT, 0, null);
    double energy = 0;
    double missed = 0;
    MemorySegment rest = floats(arena, toArray(w));
    found.factors(4, arena).writeDelta(-1, true, DType.F32, rest, 9, null);
    for (long i = 0; i < 15 * 9; i++) {
      if (i % 9 < 8) {
        energy += (double) get(w, i) * get(w, i);
        missed += (double) get(rest, i) * get(rest, i);
      }
    }
    double[] sigma = found.sigma();
    double all = 0;
    double first = 0;
    for (int k = 0; k < sigma.length; k++) {
      all += sigma[k] * sigma[k];
      first += k < 4 ? sigma[k] * sigma[k] : 0;
    }
    assertThat(found.energy()).isCloseTo(energy, offset(1e-10));
    assertThat(all).isCloseTo(energy, offset(1e-10));
    // Factors are floats.
    assertThat(missed).isCloseTo(energy - first, offset(1e-5));
  }

  @Test
  void methodsAndThreadsAgree() {
    float[] values = gaussian(4, 15 * 8);
    MemorySegment w = arena.allocate(JAVA_DOUBLE, values.length);
    for (int i = 0; i < values.length; i++) {
      w.setAtIndex(JAVA_DOUBLE, i, values[i]);
    }
    double[] exact = decompose(SHAPE, floats(arena, values), 10).sigma();
    try (ThreadPool pool = ThreadPool.of(3)) {
      for (int seed : new int[] {0, -1}) {
        KronDecomposition one =
            KronDecomposition.of(SHAPE, DType.F64, w, 8, 10, Method.RANDOMIZED, seed, null);
        KronDecomposition three =
            KronDecomposition.of(SHAPE, DType.F64, w, 8, 10, Method.RANDOMIZED, seed, pool);
        assertThat(three.sigma()).isEqualTo(one.sigma());
        assertThat(one.sigma()).containsExactly(exact, offset(1e-12));
        assertThat(toArray(three.factors(10, arena).v()))
            .isEqualTo(toArray(one.factors(10, arena).v()));
      }
    }
  }

  @Test
  void badMatricesAreRefused() {
    MemorySegment w = blank(arena, 15, 8, 8);
    set(w, 9, Float.NaN);
    assertRefused(Status.BAD_VALUE, "w[1][1] is nan", () -> decompose(SHAPE, w, 1));
    w.fill((byte) 0);
    assertThat(decompose(SHAPE, w, 2).sigma()).containsExactly(0, 0);
    assertRefused(Status.BAD_VALUE, "terms is 0", () -> decompose(SHAPE, w, 0));
    assertRefused(Status.BAD_VALUE, "terms is 11", () -> decompose(SHAPE, w, 11));
    assertRefused(Status.BAD_SHAPE, "w has 479 bytes", () -> decompose(SHAPE, w.asSlice(1), 1));
    assertRefused(
        Status.BAD_VALUE,
        "type is 8",
        () -> KronDecomposition.of(SHAPE, DType.Q8_0, w, 8, 1, Method.AUTO, 0, null));
    assertRefused(
        Status.BAD_VALUE,
        "Java heap",
        () -> decompose(SHAPE, MemorySegment.ofArray(new float[120]), 1));
    long huge = 1L << 40;
    for (KronShape shape :
        List.of(new KronShape(huge, huge, 1, 1), new KronShape(huge, 1, huge, 1))) {
      assertThatThrownBy(() -> decompose(shape, w, 1)).isInstanceOf(SylvesterException.class);
    }
    KronDecomposition found = decompose(SHAPE, w, 2);
    assertRefused(Status.BAD_VALUE, "terms is 3", () -> found.factors(3, arena));
  }
}
