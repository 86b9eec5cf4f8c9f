package dev.sylvester.kernels.spec;

import static dev.sylvester.kernels.TestData.assertRefused;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.data.Offset.offset;

import dev.sylvester.kernels.Status;
import java.util.Random;
import org.junit.jupiter.api.Test;

class TreeShapeTest {
  private static final double[] TYPICAL = {0.6, 0.15, 0.08, 0.04};

  /** Tries every tree whose nodes stand behind each other in any way. */
  private static double best(double[] acceptance, int candidates, int depth) {
    return best(new int[candidates + 1], 1, acceptance, depth);
  }

  private static double best(int[] parents, int count, double[] acceptance, int depth) {
    double best = value(parents, count, acceptance, depth);
    if (count < parents.length) {
      for (int parent = 0; parent < count; parent++) {
        parents[count] = parent;
        best = Math.max(best, best(parents, count + 1, acceptance, depth));
      }
    }
    return best;
  }

  private static double value(int[] parents, int count, double[] acceptance, int depth) {
    double[] reach = new double[count];
    int[] children = new int[count];
    int[] depths = new int[count];
    reach[0] = 1;
    double sum = 0;
    for (int node = 1; node < count; node++) {
      int parent = parents[node];
      int rank = children[parent]++;
      depths[node] = depths[parent] + 1;
      boolean counts = rank < acceptance.length && depths[node] <= depth;
      reach[node] = counts ? reach[parent] * acceptance[rank] : 0;
      sum += reach[node];
    }
    return sum;
  }

  @Test
  void noTreeIsBetter() {
    Random random = new Random(5);
    for (int trial = 0; trial < 40; trial++) {
      double[] acceptance = new double[1 + random.nextInt(4)];
      double left = 1;
      for (int rank = 0; rank < acceptance.length; rank++) {
        acceptance[rank] = left * random.nextDouble();
        left -= acceptance[rank];
      }
      int candidates = random.nextInt(8);
      int depth = 1 + random.nextInt(5);
      TreeShape shape = TreeShape.best(acceptance, candidates, depth);
      assertThat(shape.expectedAccepted(acceptance))
          .as("trial %d: %s", trial, shape)
          .isCloseTo(best(acceptance, candidates, depth), offset(1e-12));
      assertThat(shape.candidates()).isLessThanOrEqualTo(candidates);
      assertThat(deepest(shape)).isLessThanOrEqualTo(depth);
    }
  }

  private static int deepest(TreeShape shape) {
    return shape.candidates() == 0 ? 0 : shape.depth(shape.candidates());
  }

  @Test
  void nodesAreInLevels() {
    TreeShape shape = TreeShape.best(TYPICAL, 40, 6);
    assertThat(shape.candidates()).isEqualTo(40);
    int[] children = new int[41];
    for (int node = 1; node <= 40; node++) {
      int parent = shape.parent(node);
      assertThat(parent).isLessThan(node);
      assertThat(shape.rank(node)).isEqualTo(children[parent]++);
      assertThat(shape.depth(node)).isEqualTo(parent == 0 ? 1 : shape.depth(parent) + 1);
      if (node > 1) {
        assertThat(shape.depth(node)).isGreaterThanOrEqualTo(shape.depth(node - 1));
        assertThat(parent).isGreaterThanOrEqualTo(shape.parent(node - 1));
      }
    }
  }

  @Test
  void aDraftThatIsRightOnlyWithItsFirstGivesAChain() {
    assertThat(TreeShape.best(new double[] {0.7}, 5, 9)).isEqualTo(TreeShape.chain(5));
    assertThat(TreeShape.best(new double[] {0.7, 0}, 5, 3)).isEqualTo(TreeShape.chain(3));
    assertThat(TreeShape.best(new double[] {0.5, 0.5}, 2, 9).toString())
        .isEqualTo("TreeShape[0, 0]");
    assertThat(TreeShape.chain(5).expectedAccepted(new double[] {0.5}))
        .isEqualTo(0.5 + 0.25 + 0.125 + 0.0625 + 0.03125);
    assertThat(TreeShape.best(TYPICAL, 0, 3).candidates()).isZero();
    assertThat(TreeShape.best(new double[0], 3, 3).candidates()).isZero();
    assertThat(TreeShape.chain(2)).hasSameHashCodeAs(TreeShape.best(new double[] {1}, 2, 2));
  }

  @Test
  void badArgumentsAreRefused() {
    assertRefused(Status.BAD_VALUE, "256", () -> TreeShape.chain(256));
    assertRefused(Status.BAD_VALUE, "-1", () -> TreeShape.best(TYPICAL, -1, 3));
    assertRefused(Status.BAD_VALUE, "depth is 0", () -> TreeShape.best(TYPICAL, 3, 0));
    assertRefused(Status.BAD_VALUE, "[NaN]", () -> TreeShape.best(new double[] {Double.NaN}, 3, 3));
    assertRefused(Status.BAD_VALUE, "[1.5]", () -> TreeShape.best(new double[] {1.5}, 3, 3));
    assertThatThrownBy(() -> TreeShape.chain(2).parent(3))
        .isInstanceOf(IndexOutOfBoundsException.class);
    assertThatThrownBy(() -> TreeShape.chain(2).rank(0))
        .isInstanceOf(IndexOutOfBoundsException.class);
  }

  @Test
  void levelsHaveEquallyManyChildren() {
    TreeShape shape = TreeShape.levels(3, 2, 1);
    assertThat(shape).hasToString("TreeShape[0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 5, 6, 7, 8, 9]");
    assertThat(TreeShape.levels()).isEqualTo(TreeShape.chain(0));
    assertThat(TreeShape.levels(1, 1, 1)).isEqualTo(TreeShape.chain(3));
    assertThat(TreeShape.levels(255).candidates()).isEqualTo(255);
    assertThatThrownBy(() -> TreeShape.levels(2, 0)).hasMessageContaining("children is 0");
    assertThatThrownBy(() -> TreeShape.levels(256)).hasMessageContaining("children is 256");
    assertThatThrownBy(() -> TreeShape.levels(16, 15))
        .hasMessageContaining("[16, 15] are more than 255 candidates");
    assertThatThrownBy(() -> TreeShape.levels(255, 255, 255, 255, 255, 255, 255, 255, 255))
        .hasMessageContaining("more than 255 candidates");
  }
}
