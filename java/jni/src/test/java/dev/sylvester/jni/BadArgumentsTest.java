package dev.sylvester.jni;

import static dev.sylvester.jni.sylvester.*;
import static org.assertj.core.api.Assertions.assertThat;

import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.LongPointer;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.PointerPointer;
import org.junit.jupiter.api.Test;

/** Bad arguments come back as a status and a text, as they do in C; outputs stay as they were. */
class BadArgumentsTest {
  private final float[] row = {1, 2, 3, 4};

  @Test
  void nullPointers() {
    assertRefused(
        syl_hadamard_f32((FloatPointer) null, 1, 4, 4, 1, null),
        SYL_NULL_ARGUMENT,
        "syl_hadamard_f32: x");
    assertRefused(
        syl_hadamard_f32((float[]) null, 1, 4, 4, 1, null),
        SYL_NULL_ARGUMENT,
        "syl_hadamard_f32: x");
    assertRefused(
        syl_dequantize_f32(SYL_F32, null, 4, row), SYL_NULL_ARGUMENT, "syl_dequantize_f32: x");
    assertRefused(
        syl_pool_new(1, (PointerPointer<?>) null), SYL_NULL_ARGUMENT, "syl_pool_new: pool");
    assertRefused(
        syl_hadamard_new(null, new syl_hadamard()), SYL_NULL_ARGUMENT, "syl_hadamard_new: options");
    assertRefused(
        syl_nn_cache_size(null, new long[1], new long[1]),
        SYL_NULL_ARGUMENT,
        "syl_nn_cache_size: attention");
    syl_pool_free(null);
    syl_hadamard_free(null);
  }

  @Test
  void valuesAndShapes() {
    assertRefused(syl_hadamard_f32(row, 1, 3, 3, 1, null), SYL_BAD_VALUE, "n is 3");
    assertRefused(syl_hadamard_f32(row, 2, 2, 4, 1, null), SYL_BAD_SHAPE, "stride is 2");
    assertRefused(
        syl_hadamard_f32(row, 1, 4, 4, Double.NaN, null), SYL_BAD_VALUE, "syl_hadamard_f32: scale");
    assertRefused(
        syl_hadamard_f32(row, Long.MIN_VALUE, 4, 4, 1, null),
        SYL_BAD_VALUE,
        "rows is -9223372036854775808");
    assertThat(row).containsExactly(1, 2, 3, 4);

    assertRefused(syl_pool_new(0, new syl_pool()), SYL_BAD_VALUE, "threads is 0");
    assertRefused(syl_tier_force("sse9"), SYL_BAD_VALUE, "sse9");
    long[] bytes = {-1};
    assertRefused(syl_nn_weights_size(SYL_Q8_0, 1, 33, bytes), SYL_BAD_SHAPE, "k is 33");
    assertThat(bytes).containsExactly(-1);
  }

  @Test
  void structOfAnotherSize() {
    try (syl_attention attention = new syl_attention();
        LongPointer bytes = new LongPointer(1)) {
      assertRefused(
          syl_nn_cache_size(attention, bytes, bytes),
          SYL_BAD_VALUE,
          "syl_nn_cache_size: attention->struct_size is 0");
    }
  }

  @Test
  void overlapOfPointers() {
    try (FloatPointer x = new FloatPointer(1, 2, 3, 4, 5);
        FloatPointer y = x.getPointer(1)) {
      assertRefused(syl_dequantize_f32(SYL_F32, x, 4, y), SYL_OVERLAP, "syl_dequantize_f32: y");
      assertThat(x.get(4)).isEqualTo(5);
    }
  }

  @Test
  void workspaceTooSmall() {
    long[] size = new long[1];
    long[] need = new long[1];
    assertThat(syl_nn_weights_size(SYL_F32, 16, 32, size)).isEqualTo(SYL_OK);
    assertThat(syl_nn_matmul_workspace(SYL_Q8_0, 16, 32, 1, need)).isEqualTo(SYL_OK);
    assertThat(need[0]).isPositive();
    float[] y = new float[16];
    try (BytePointer memory = new BytePointer(size[0] + 64)) {
      Pointer packed = memory.getPointer(Math.floorMod(-memory.address(), 64L));
      assertRefused(
          syl_nn_matmul_f32(
              SYL_Q8_0, packed, 16, 32, new float[32], 32, 1, null, 0, y, 16, memory, 0, null),
          SYL_WORKSPACE,
          "syl_nn_matmul_f32: workspace");
    }
    assertThat(y).containsOnly(0);
  }

  @Test
  void everyStatusHasItsText() {
    for (int status = SYL_OK; status <= SYL_INTERNAL; status++) {
      assertThat(syl_status_message(status).getString()).isNotEmpty();
    }
  }

  private static void assertRefused(int status, int expected, String text) {
    assertThat(status).as(syl_last_error().getString()).isEqualTo(expected);
    assertThat(syl_last_error().getString()).contains(text);
  }
}
