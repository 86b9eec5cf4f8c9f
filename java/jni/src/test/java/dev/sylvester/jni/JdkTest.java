package dev.sylvester.jni;

import static dev.sylvester.jni.sylvester.*;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.Random;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.FloatPointer;
import org.junit.jupiter.api.Test;

/**
 * The packed jar on a JDK without the foreign function interface: each family against plain loops.
 */
class JdkTest {
  private static final long SEED = 20261124;

  private final Random random = new Random(SEED);

  @Test
  void runsOnAJdkWithoutForeignFunctions() {
    assertThat(Runtime.version().feature()).isGreaterThanOrEqualTo(11).isLessThan(25);
  }

  @Test
  void librariesComeFromTheJar() {
    String classes = sylvester.class.getProtectionDomain().getCodeSource().getLocation().getPath();
    assertThat(classes).endsWith("-linux-x86_64.jar");
    assertThat(syl_abi_version()).isEqualTo(SYL_ABI_VERSION);
    assertThat(syl_version().getString()).matches("\\d+\\.\\d+\\.\\d+");
    assertThat(syl_tiers_supported().getString().split(" ")).contains(syl_tier().getString());
  }

  @Test
  void hadamardOfArraysBuffersAndPointers() {
    int n = 64;
    float[] x = gaussian(3 * n);
    float[] array = x.clone();
    assertOk(syl_hadamard_f32(array, 3, n, n, 0, null));

    float[] root = hadamard(x, n);
    for (int i = 0; i < x.length; i++) {
      assertThat(array[i]).as("seed %d, element %d", SEED, i).isCloseTo(root[i], within(1e-5f));
    }
    FloatBuffer heap = FloatBuffer.wrap(x.clone());
    assertOk(syl_hadamard_f32(heap, 3, n, n, 0, null));
    assertThat(heap.array()).isEqualTo(array);

    FloatBuffer direct =
        ByteBuffer.allocateDirect(4 * x.length).order(ByteOrder.nativeOrder()).asFloatBuffer();
    direct.put(x).rewind();
    assertOk(syl_hadamard_f32(direct, 3, n, n, 0, null));
    float[] result = new float[x.length];
    direct.get(result);
    assertThat(result).isEqualTo(array);

    try (FloatPointer pointer = new FloatPointer(x)) {
      assertOk(syl_hadamard_f32(pointer, 3, n, n, 0, null));
      assertThat(pointer.get(result)).isSameAs(pointer);
      assertThat(result).isEqualTo(array);
    }
  }

  @Test
  void poolOfThreads() {
    syl_pool pool = new syl_pool();
    assertOk(syl_pool_new(2, pool));
    assertThat(pool.isNull()).isFalse();
    assertThat(syl_pool_threads(pool)).isEqualTo(2);
    float[] x = gaussian(32 * 256);
    float[] alone = x.clone();
    assertOk(syl_hadamard_f32(x, 32, 256, 256, 0, pool));
    assertOk(syl_hadamard_f32(alone, 32, 256, 256, 0, null));
    assertThat(x).isEqualTo(alone);
    syl_pool_free(pool);
    assertThat(syl_pool_threads(null)).isEqualTo(1);
  }

  @Test
  void dequantizesBlocks() {
    byte[] block = new byte[34];
    random.nextBytes(block);
    block[0] = 0x00; // 0.5 as f16, little endian
    block[1] = 0x38;
    float[] y = new float[32];
    try (BytePointer x = new BytePointer(block)) {
      assertOk(syl_dequantize_f32(SYL_Q8_0, x, 32, y));
    }
    for (int i = 0; i < 32; i++) {
      assertThat(y[i]).isEqualTo(0.5f * block[2 + i]);
    }
  }

  @Test
  void normOfRows() {
    float[] x = gaussian(2 * 48);
    float[] weight = gaussian(48);
    float[] y = new float[x.length];
    assertOk(syl_nn_rms_norm_f32(x, 48, weight, 1e-5f, 2, 48, y, 48, null));
    for (int r = 0; r < 2; r++) {
      double sum = 0;
      for (int i = 0; i < 48; i++) {
        sum += (double) x[48 * r + i] * x[48 * r + i];
      }
      for (int i = 0; i < 48; i++) {
        double exact = x[48 * r + i] / Math.sqrt(sum / 48 + 1e-5f) * weight[i];
        assertThat((double) y[48 * r + i])
            .as("seed %d, row %d, element %d", SEED, r, i)
            .isCloseTo(exact, within(0x1p-22 * Math.abs(exact)));
      }
    }
  }

  @Test
  void structsGoInAndOut() {
    float[] logits = gaussian(100);
    logits[37] = 9;
    try (syl_logits_stats stats = new syl_logits_stats();
        syl_sampler sampler = new syl_sampler();
        BytePointer workspace = new BytePointer(1 << 16)) {
      assertOk(syl_logits_stats_f32(logits, 100, 1, 100, stats, null));
      assertThat(stats.argmax()).isEqualTo(37);
      assertThat(stats.max()).isEqualTo(9);

      sampler.struct_size(sampler.sizeof()).top_p(1).repetition_penalty(1);
      int[] token = {-1};
      float[] logProbability = {1};
      assertOk(
          syl_logits_sample_f32(
              sampler,
              logits,
              100,
              new int[0],
              0,
              new int[0],
              new float[0],
              0,
              0,
              workspace,
              workspace.capacity(),
              token,
              logProbability));
      assertThat(token[0]).isEqualTo(37);
      assertThat((double) logProbability[0]).isCloseTo(9 - stats.log_sum_exp(), within(1e-5));
    }
  }

  @Test
  void plansOfHadamard() {
    syl_hadamard plan = new syl_hadamard();
    try (syl_hadamard_options options = new syl_hadamard_options();
        syl_hadamard_info info = new syl_hadamard_info()) {
      options.struct_size(options.sizeof()).n(96).base(12).rounds(1);
      options.count(0, 1).count(1, 1).count(2, 5);
      options.x_stride(2, 96).x_stride(3, 1).y_stride(2, 96).y_stride(3, 1);
      assertOk(syl_hadamard_new(options, plan));
      info.struct_size(info.sizeof());
      assertOk(syl_hadamard_describe(plan, info));
      assertThat(info.transforms()).isEqualTo(5);
      assertThat(info.log2_butterflies()).isEqualTo(3);
      assertThat(info.scale()).isCloseTo(1 / Math.sqrt(96), within(1e-9));
    }
    syl_hadamard_free(plan);
  }

  private float[] gaussian(int count) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }

  /** Rows of n elements times H / sqrt(n), by the definition. */
  private static float[] hadamard(float[] x, int n) {
    float[] y = new float[x.length];
    for (int i = 0; i < x.length; i++) {
      double sum = 0;
      for (int j = 0; j < n; j++) {
        double term = x[i / n * n + j];
        sum += Integer.bitCount(i % n & j) % 2 == 0 ? term : -term;
      }
      y[i] = (float) (sum / Math.sqrt(n));
    }
    return y;
  }

  private static void assertOk(int status) {
    assertThat(status).as(syl_last_error().getString()).isEqualTo(SYL_OK);
  }
}
