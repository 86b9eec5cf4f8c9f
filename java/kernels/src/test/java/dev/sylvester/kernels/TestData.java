package dev.sylvester.kernels;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Random;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;

/** Random rows with padding between them, and what tests say about errors. */
public final class TestData {
  /** Unit roundoff of float. */
  static final double EPS = 0x1p-24;

  private static final float PADDING = -12345.5f;

  private TestData() {}

  public static float[] gaussian(long seed, long count) {
    Random random = new Random(seed);
    float[] values = new float[Math.toIntExact(count)];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }

  public static MemorySegment floats(Arena arena, float... values) {
    return arena.allocateFrom(JAVA_FLOAT, values);
  }

  public static MemorySegment ints(Arena arena, int... values) {
    return arena.allocateFrom(JAVA_INT, values);
  }

  /** Rows of cols random floats, padding between them; exactly as long as needed. */
  public static MemorySegment rows(Arena arena, long seed, long rows, long cols, long stride) {
    MemorySegment segment = blank(arena, rows, cols, stride);
    float[] values = gaussian(seed, rows * cols);
    for (int i = 0; i < values.length; i++) {
      set(segment, i / cols * stride + i % cols, values[i]);
    }
    return segment;
  }

  /** Rows for an output, all padding. */
  static MemorySegment blank(Arena arena, long rows, long cols, long stride) {
    MemorySegment segment = arena.allocate(JAVA_FLOAT, (rows - 1) * stride + cols);
    for (long i = 0; i < segment.byteSize() / Float.BYTES; i++) {
      set(segment, i, PADDING);
    }
    return segment;
  }

  static void assertPaddingUntouched(MemorySegment segment, long cols, long stride) {
    for (long i = 0; i < segment.byteSize() / Float.BYTES; i++) {
      if (i % stride >= cols) {
        assertThat(get(segment, i)).as("padding at %d", i).isEqualTo(PADDING);
      }
    }
  }

  static float get(MemorySegment segment, long index) {
    return segment.get(JAVA_FLOAT_UNALIGNED, index * Float.BYTES);
  }

  static void set(MemorySegment segment, long index, float value) {
    segment.set(JAVA_FLOAT_UNALIGNED, index * Float.BYTES, value);
  }

  static float[] toArray(MemorySegment segment) {
    return segment.toArray(JAVA_FLOAT);
  }

  /**
   * Random weights in the type's file layout: any bits for quants, moderate values for scales and
   * plain types.
   */
  static MemorySegment weights(Arena arena, DType type, long seed, long rows, long cols) {
    Random random = new Random(seed);
    MemorySegment segment = arena.allocate(rows * type.bytes(cols));
    for (long block = 0; block < segment.byteSize(); block += type.blockBytes()) {
      switch (type) {
        case F32 -> segment.set(JAVA_FLOAT_UNALIGNED, block, (float) random.nextGaussian());
        case F16 -> half(segment, block, random.nextGaussian());
        case BF16 ->
            segment.set(
                JAVA_SHORT_UNALIGNED,
                block,
                (short) (Float.floatToIntBits((float) random.nextGaussian()) >>> 16));
        case Q8_0, Q4_0 -> {
          byte[] quants = new byte[type.blockBytes() - 2];
          random.nextBytes(quants);
          half(segment, block, random.nextGaussian() / 64);
          MemorySegment.copy(MemorySegment.ofArray(quants), 0, segment, block + 2, quants.length);
        }
        default -> throw new IllegalArgumentException(type.toString());
      }
    }
    return segment;
  }

  private static void half(MemorySegment segment, long offset, double value) {
    segment.set(JAVA_SHORT_UNALIGNED, offset, Float.floatToFloat16((float) value));
  }

  /** Weight i of a row-major matrix in the type's file layout. */
  static double weight(DType type, MemorySegment weights, long i) {
    long block = i / type.blockSize() * type.blockBytes();
    int j = (int) (i % type.blockSize());
    return switch (type) {
      case F32 -> weights.get(JAVA_FLOAT_UNALIGNED, block);
      case F16 -> Float.float16ToFloat(weights.get(JAVA_SHORT_UNALIGNED, block));
      case BF16 -> Float.intBitsToFloat(weights.get(JAVA_SHORT_UNALIGNED, block) << 16);
      case Q8_0 ->
          Float.float16ToFloat(weights.get(JAVA_SHORT_UNALIGNED, block))
              * weights.get(JAVA_BYTE, block + 2 + j);
      case Q4_0 -> {
        int nibbles = weights.get(JAVA_BYTE, block + 2 + j % 16);
        int q = j < 16 ? nibbles & 15 : nibbles >> 4 & 15;
        yield (double) Float.float16ToFloat(weights.get(JAVA_SHORT_UNALIGNED, block)) * (q - 8);
      }
      default -> throw new IllegalArgumentException(type.toString());
    };
  }

  public static void assertRefused(Status status, String message, ThrowingCallable call) {
    assertThatThrownBy(call)
        .isInstanceOfSatisfying(
            SylvesterException.class,
            e -> assertThat(e.status()).as(e.getMessage()).isEqualTo(status))
        .hasMessageContaining(message);
  }
}
