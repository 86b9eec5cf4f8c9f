package dev.sylvester.kernels;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Random;
import org.junit.jupiter.api.Test;

class HadamardLayoutTest {
  /** Strides in any order, any range: against a walk over all elements. */
  @Test
  void bytesOfACallReachToItsFarthestElement() {
    Random random = new Random(1);
    for (int i = 0; i < 2000; i++) {
      int[] count = {1 + random.nextInt(4), 1 + random.nextInt(4), 1 + random.nextInt(4)};
      int[] stride = {
        random.nextInt(50), random.nextInt(50), random.nextInt(50), 1 + random.nextInt(9)
      };
      HadamardLayout layout =
          Hadamard.of(4)
              .transforms(count[0], count[1], count[2])
              .xStrides(stride[0], stride[1], stride[2], stride[3])
              .layout();
      int transforms = count[0] * count[1] * count[2];
      int first = random.nextInt(transforms);
      int number = 1 + random.nextInt(transforms - first);
      long end = 0;
      long start = Long.MAX_VALUE;
      for (int t = first; t < first + number; t++) {
        long at =
            t / (count[1] * count[2]) * (long) stride[0]
                + t / count[2] % count[1] * (long) stride[1]
                + t % count[2] * (long) stride[2];
        start = Math.min(start, at * 4);
        end = Math.max(end, (at + 3L * stride[3] + 1) * 4);
      }
      assertThat(layout.xBytes(first, number)).as("case %d", i).isEqualTo(end);
      assertThat(layout.x().start(layout.count(), first, first + number - 1)).isEqualTo(start);
      assertThat(layout.yBytes(first, number)).isEqualTo((first + number) * 16L);
    }
  }

  @Test
  void sizesToAllocate() {
    HadamardLayout layout =
        Hadamard.of(256).rows(10).quantizer(HadamardOptions.Quantizer.U4, 64).layout();
    assertThat(layout.transforms()).isEqualTo(10);
    assertThat(layout.xBytes()).isEqualTo(10240);
    assertThat(layout.yBytes()).isEqualTo(1280);
    assertThat(layout.scales()).isEqualTo(40);
    assertThat(layout.xBytes(3, 0)).isZero();
  }
}
