package dev.sylvester.kernels;

import static dev.sylvester.kernels.TestData.EPS;
import static dev.sylvester.kernels.TestData.floats;
import static dev.sylvester.kernels.TestData.gaussian;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import dev.sylvester.kernels.HadamardOptions.Quantizer;
import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.function.ToDoubleFunction;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The two examples of {@code docs/hadamard.md}, held to their bounds. */
class HadamardExamplesTest {
  private static final int DIMS = 256;
  private static final int BEST = 10;

  /** A vector, its codes and what it stands for. */
  private record Vector(float[] x, HadamardCodes codes, double[] values) {
    private Vector(float[] x, HadamardCodes codes) {
      this(x, codes, IntStream.range(0, DIMS).mapToDouble(codes::value).toArray());
    }

    static Vector rotated(float[] x, Hadamard rotation) {
      Quantizer quantizer = rotation.options().quantizer();
      byte[] codes = new byte[DIMS * quantizer.bits() / 8];
      float[] scales = new float[1];
      float[] zeros = quantizer.hasZeros() ? new float[1] : null;
      rotation.quantize(x, codes, scales, zeros);
      return new Vector(x, new HadamardCodes(quantizer, codes, scales, zeros));
    }

    static Vector plain(float[] x, Quantizer quantizer) {
      return new Vector(x, HadamardCodes.of(x, quantizer, new int[DIMS], 1));
    }

    double dot(Vector other) {
      double sum = 0;
      for (int i = 0; i < DIMS; i++) {
        sum += (double) x[i] * other.x[i];
      }
      return sum;
    }

    double dotOfCodes(Vector other) {
      double sum = 0;
      for (int i = 0; i < DIMS; i++) {
        sum += values[i] * other.values[i];
      }
      return sum;
    }

    double sumOfCodes() {
      return Arrays.stream(values).map(Math::abs).sum();
    }

    /**
     * How far a code's value is from the rotated element: half a step, the bound of the rotation,
     * and a rounding each in the difference, the quotient, the scale and its product, of numbers up
     * to twice the largest.
     */
    double elementBound(Hadamard rotation) {
      double largest = Arrays.stream(values).map(Math::abs).max().orElseThrow();
      double rotationBound = rotation.info().errorSteps() * EPS * rotation.info().scale() * sum(x);
      return codes.scales()[0] / 2 + rotationBound + 4 * EPS * 2 * largest;
    }
  }

  /** Vectors as embeddings are: a few dimensions carry most of the length. */
  private static List<float[]> embeddings(long seed, int count) {
    float[] all = gaussian(seed, (long) count * DIMS);
    for (int i = 0; i < all.length; i++) {
      all[i] *= i % 64 == 5 ? 20 : 1;
    }
    return IntStream.range(0, count)
        .mapToObj(v -> Arrays.copyOfRange(all, v * DIMS, (v + 1) * DIMS))
        .toList();
  }

  private static List<Integer> best(List<Vector> vectors, ToDoubleFunction<Vector> score) {
    double[] scores = vectors.stream().mapToDouble(score).toArray();
    return IntStream.range(0, scores.length)
        .boxed()
        .sorted(Comparator.comparingDouble(i -> -scores[i]))
        .limit(BEST)
        .toList();
  }

  /** Of the best vectors of all queries, the part that their codes find. */
  private static double recall(List<Vector> vectors, List<Vector> queries) {
    long found = 0;
    for (Vector query : queries) {
      List<Integer> approximate = best(vectors, query::dotOfCodes);
      found += best(vectors, query::dot).stream().filter(approximate::contains).count();
    }
    return found / (double) (queries.size() * BEST);
  }

  @ParameterizedTest
  @EnumSource(names = {"I8", "U4"})
  void rotatedCodesFindWhatTheVectorsDo(Quantizer quantizer) {
    List<float[]> data = embeddings(1, 1000);
    List<float[]> asked = embeddings(2, 50);
    Hadamard rotation = Hadamard.of(DIMS).signs(42).quantizer(quantizer).build();
    List<Vector> vectors = data.stream().map(x -> Vector.rotated(x, rotation)).toList();
    List<Vector> queries = asked.stream().map(x -> Vector.rotated(x, rotation)).toList();

    for (Vector query : queries) {
      for (Vector vector : vectors) {
        double a = query.elementBound(rotation);
        double b = vector.elementBound(rotation);
        double bound = a * vector.sumOfCodes() + b * query.sumOfCodes() + DIMS * a * b;
        assertThat(query.dotOfCodes(vector)).isCloseTo(query.dot(vector), offset(bound));
      }
    }

    double rotated = recall(vectors, queries);
    double plain =
        recall(
            data.stream().map(x -> Vector.plain(x, quantizer)).toList(),
            asked.stream().map(x -> Vector.plain(x, quantizer)).toList());
    assertThat(rotated).isGreaterThan(plain).isGreaterThan(0.95);
  }

  /** {@code W' = W R^T} row by row; then {@code W' (R x) = W x}. */
  @Test
  void aRotationFoldsIntoALinearLayer() {
    int inputs = 768; // 12 x 64
    int outputs = 40;
    float[] w = gaussian(3, (long) outputs * inputs);
    float[] x = gaussian(4, inputs);
    HadamardOptions options = Hadamard.of(inputs).base(12).signs(42);
    Hadamard rotation = options.build();

    float[] folded = new float[w.length];
    options.rows(outputs).build().apply(w, folded);
    float[] rotated = new float[inputs];
    rotation.apply(x, rotated);
    float[] y;
    try (Arena arena = Arena.ofConfined()) {
      y =
          Matrix.pack(DType.F32, outputs, inputs, floats(arena, folded), arena, null)
              .multiply(rotated);
    }

    double step = rotation.info().errorSteps() * EPS * rotation.info().scale();
    double xBound = step * sum(x);
    for (int o = 0; o < outputs; o++) {
      float[] row = Arrays.copyOfRange(w, o * inputs, (o + 1) * inputs);
      float[] foldedRow = Arrays.copyOfRange(folded, o * inputs, (o + 1) * inputs);
      double wBound = step * sum(row);
      double expected = 0;
      double terms = 0;
      for (int i = 0; i < inputs; i++) {
        expected += (double) row[i] * x[i];
        terms += Math.abs((double) foldedRow[i] * rotated[i]);
      }
      // The rotation's error in either factor, and a rounding each for the terms of the product.
      double bound =
          xBound * sum(foldedRow)
              + wBound * sum(rotated)
              + inputs * xBound * wBound
              + (inputs + 1) * EPS * terms;
      assertThat((double) y[o]).as("output %d", o).isCloseTo(expected, offset(bound));
    }
  }

  private static double sum(float[] x) {
    double sum = 0;
    for (float value : x) {
      sum += Math.abs(value);
    }
    return sum;
  }
}
