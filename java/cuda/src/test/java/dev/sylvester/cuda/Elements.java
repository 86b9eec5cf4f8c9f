package dev.sylvester.cuda;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;
import static org.assertj.core.api.Assertions.assertThat;

import dev.sylvester.kernels.DType;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.IntStream;

/** Bytes that are elements of a type. */
final class Elements {
  private Elements() {}

  /** Gaussian values; where that leaves a transform of numbers, also a NaN and an infinity. */
  static byte[] random(DType type, long bytes, long transforms, long seed) {
    Random random = new Random(seed);
    byte[] elements = new byte[Math.toIntExact(bytes)];
    for (int i = 0; i < bytes / type.blockBytes(); i++) {
      set(type, elements, i, (float) random.nextGaussian());
    }
    if (transforms > 2) {
      set(type, elements, 1, Float.NaN);
      set(type, elements, (int) (bytes / type.blockBytes() * 3 / 7), Float.POSITIVE_INFINITY);
    }
    return elements;
  }

  private static void set(DType type, byte[] elements, int i, float value) {
    MemorySegment segment = MemorySegment.ofArray(elements);
    long at = (long) i * type.blockBytes();
    switch (type) {
      case F32 -> segment.set(JAVA_FLOAT_UNALIGNED, at, value);
      case F16 -> segment.set(JAVA_SHORT_UNALIGNED, at, Float.floatToFloat16(value));
      case BF16 ->
          segment.set(JAVA_SHORT_UNALIGNED, at, (short) (Float.floatToRawIntBits(value) >>> 16));
      default -> throw new IllegalArgumentException(type.toString());
    }
  }

  private static float get(DType type, byte[] elements, int i) {
    MemorySegment segment = MemorySegment.ofArray(elements);
    long at = (long) i * type.blockBytes();
    return switch (type) {
      case F32 -> segment.get(JAVA_FLOAT_UNALIGNED, at);
      case F16 -> Float.float16ToFloat(segment.get(JAVA_SHORT_UNALIGNED, at));
      case BF16 -> Float.intBitsToFloat(segment.get(JAVA_SHORT_UNALIGNED, at) << 16);
      default -> throw new IllegalArgumentException(type.toString());
    };
  }

  /** Bits are equal; of a NaN, whose sign processors choose, only that it is one. */
  static void assertSame(DType type, byte[] actual, byte[] expected) {
    assertThat(actual).hasSameSizeAs(expected);
    IntStream elements = IntStream.range(0, expected.length / type.blockBytes());
    assertThat(elements.anyMatch(i -> Float.isFinite(get(type, expected, i))))
        .as("there are numbers among the results")
        .isTrue();
    byte[] sameNaNs = actual.clone();
    for (int i = 0; i < expected.length / type.blockBytes(); i++) {
      if (Float.isNaN(get(type, actual, i)) && Float.isNaN(get(type, expected, i))) {
        int at = i * type.blockBytes();
        System.arraycopy(expected, at, sameNaNs, at, type.blockBytes());
      }
    }
    assertSame("result", sameNaNs, expected);
  }

  static void assertSame(String what, byte[] actual, byte[] expected) {
    int at = Arrays.mismatch(actual, expected);
    assertThat(at).as("first %s that differs, in bytes", what).isEqualTo(-1);
  }
}
