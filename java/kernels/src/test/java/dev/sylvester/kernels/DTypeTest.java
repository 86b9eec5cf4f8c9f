package dev.sylvester.kernels;

import static dev.sylvester.kernels.TestData.assertRefused;
import static dev.sylvester.kernels.TestData.blank;
import static dev.sylvester.kernels.TestData.floats;
import static dev.sylvester.kernels.TestData.get;
import static dev.sylvester.kernels.TestData.weight;
import static dev.sylvester.kernels.TestData.weights;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;
import static org.assertj.core.api.Assertions.assertThat;

import dev.sylvester.kernels.ffi.SylvesterFfi;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class DTypeTest {
  @ParameterizedTest
  @EnumSource
  void isTheTypeOfTheLibrary(DType type) throws ReflectiveOperationException {
    assertThat(SylvesterFfi.class.getMethod("SYL_" + type.name()).invoke(null))
        .isEqualTo(type.id());
    assertThat(DType.fromId(type.id())).isSameAs(type);
    assertThat((long) type.blockSize()).isEqualTo(SylvesterFfi.syl_dtype_block_size(type.id()));
    assertThat((long) type.blockBytes()).isEqualTo(SylvesterFfi.syl_dtype_block_bytes(type.id()));
    assertThat(type.bytes(512)).isEqualTo(512L / type.blockSize() * type.blockBytes());
  }

  @Test
  void unknownTypesAndOddSizesAreRefused() {
    for (int id : new int[] {-1, 4, 31, Integer.MAX_VALUE}) {
      assertRefused(Status.UNSUPPORTED, "id is " + id, () -> DType.fromId(id));
    }
    assertRefused(Status.BAD_SHAPE, "n is -32", () -> DType.Q8_0.bytes(-32));
    assertRefused(Status.BAD_SHAPE, "n is 33", () -> DType.Q8_0.bytes(33));
    assertRefused(
        Status.BAD_SHAPE, "n is " + Long.MAX_VALUE, () -> DType.F32.bytes(Long.MAX_VALUE));
    assertThat(DType.Q8_0.bytes(0)).isZero();
  }

  @ParameterizedTest
  @EnumSource(names = {"F32", "F16", "BF16", "Q8_0", "Q4_0"})
  void convertsToFloat(DType type) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment x = weights(arena, type, 1, 1, 96);
      MemorySegment y = blank(arena, 1, 96, 96);
      type.toFloat(x, 96, y);
      for (int i = 0; i < 96; i++) {
        assertThat(get(y, i)).isEqualTo((float) weight(type, x, i));
      }
      assertRefused(Status.BAD_SHAPE, "y has", () -> type.toFloat(x, 96, y.asSlice(4)));
    }
  }

  @Test
  void roundsFromFloatHalfToEven() {
    try (Arena arena = Arena.ofConfined()) {
      float[] values = {1, 1 + 0x1p-11f, 1 + 3 * 0x1p-11f, -70000, 1e-9f, Float.NaN};
      MemorySegment y = arena.allocate(JAVA_SHORT, values.length);
      DType.F16.fromFloat(floats(arena, values), values.length, y);
      for (int i = 0; i < values.length; i++) {
        Float back = Float.float16ToFloat(y.getAtIndex(JAVA_SHORT, i));
        Float expected = Float.float16ToFloat(Float.floatToFloat16(values[i]));
        assertThat(back).isEqualTo(expected); // boxed, so that NaN equals NaN
      }
      DType.BF16.fromFloat(floats(arena, 1 + 0x1p-8f, 1 + 3 * 0x1p-8f), 2, y);
      assertThat(y.getAtIndex(JAVA_SHORT, 0)).isEqualTo((short) 0x3f80);
      assertThat(y.getAtIndex(JAVA_SHORT, 1)).isEqualTo((short) 0x3f82);
      MemorySegment x = floats(arena, new float[32]);
      MemorySegment blocks = arena.allocate(34);
      assertRefused(Status.BAD_VALUE, "type is 8", () -> DType.Q8_0.fromFloat(x, 32, blocks));
    }
  }
}
