package dev.sylvester.kernels;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Random;

/**
 * Arguments of one call: mostly what the call needs, to the byte, and now and then something else.
 * Segments end at a guard page.
 */
public final class Chance {
  private static final int PERCENT_HOSTILE = 8;
  private static final long[] SIZES = {
    -1,
    0,
    1,
    2,
    7,
    16,
    31,
    32,
    33,
    255,
    256,
    1L << 16,
    Integer.MAX_VALUE,
    1L << 31,
    1L << 32,
    1L << 40,
    1L << 59,
    1L << 61,
    1L << 62,
    Long.MAX_VALUE - 1,
    Long.MAX_VALUE,
    Long.MIN_VALUE
  };
  private static final float[] NUMBERS = {
    -1,
    -0f,
    0,
    2,
    Float.NaN,
    Float.POSITIVE_INFINITY,
    Float.NEGATIVE_INFINITY,
    Float.MIN_VALUE,
    1e38f
  };
  private static final GuardedMemory[] REGIONS = new GuardedMemory[4];

  static {
    for (int i = 0; i < REGIONS.length; i++) {
      REGIONS[i] = new GuardedMemory(8);
    }
  }

  private final Random random;
  private int region;

  public Chance(long seed) {
    random = new Random(seed);
  }

  /** Of these, any. */
  @SafeVarargs
  public final <T> T any(T... values) {
    return values[random.nextInt(values.length)];
  }

  /** A good size, low..high. */
  public long between(long low, long high) {
    return random.nextLong(low, high + 1);
  }

  public boolean coin() {
    return random.nextBoolean();
  }

  /** Now and then. */
  public boolean hostile() {
    return random.nextInt(100) < PERCENT_HOSTILE;
  }

  public long size(long good) {
    return !hostile()
        ? good
        : switch (random.nextInt(4)) {
          case 0 -> good + 1;
          case 1 -> good - 1;
          case 2 -> random.nextLong();
          default -> SIZES[random.nextInt(SIZES.length)];
        };
  }

  public float number(float good) {
    return hostile() ? NUMBERS[random.nextInt(NUMBERS.length)] : good;
  }

  /** Rows of cols floats. */
  MemorySegment floats(long rows, long cols, long stride) {
    MemorySegment segment = segment(((rows - 1) * stride + cols) * Float.BYTES);
    if (isWritable(segment)) {
      for (long i = 0; i + Float.BYTES <= segment.byteSize(); i += Float.BYTES) {
        segment.set(JAVA_FLOAT_UNALIGNED, i, number((float) random.nextGaussian()));
      }
    }
    return segment;
  }

  /** Rows of cols floats for functions that refuse all for one: mostly finite ones only. */
  MemorySegment finite(long rows, long cols, long stride) {
    MemorySegment segment = segment(((rows - 1) * stride + cols) * Float.BYTES);
    if (isWritable(segment)) {
      long floats = segment.byteSize() / Float.BYTES;
      for (long i = 0; i < floats; i++) {
        segment.set(JAVA_FLOAT_UNALIGNED, i * Float.BYTES, (float) random.nextGaussian());
      }
      if (floats > 0) {
        segment.set(JAVA_FLOAT_UNALIGNED, random.nextLong(floats) * Float.BYTES, number(1));
      }
    }
    return segment;
  }

  /** Ids below the limit, mostly. */
  MemorySegment ids(long count, int limit) {
    MemorySegment segment = segment(count * Integer.BYTES);
    if (isWritable(segment)) {
      for (long i = 0; i + Integer.BYTES <= segment.byteSize(); i += Integer.BYTES) {
        int id = random.nextInt(1000) == 0 ? random.nextInt() : random.nextInt(limit);
        segment.set(JAVA_INT_UNALIGNED, i, id);
      }
    }
    return segment;
  }

  private static boolean isWritable(MemorySegment segment) {
    return segment != null
        && segment.isNative()
        && !segment.isReadOnly()
        && segment.scope().isAlive();
  }

  MemorySegment segment(long bytes) {
    GuardedMemory memory = REGIONS[region++];
    if (!hostile()) {
      return memory.last(bytes);
    }
    return switch (random.nextInt(8)) {
      case 0 -> null;
      case 1 -> MemorySegment.NULL;
      case 2 -> MemorySegment.ofArray(new float[(int) bytes / Float.BYTES + 1]);
      case 3 -> memory.last(bytes).asReadOnly();
      case 4 -> closed(bytes);
      case 5 -> memory.last(bytes / 2);
      case 6 -> memory.last(0);
      default -> memory.last(Math.max(0, bytes - 1));
    };
  }

  private static MemorySegment closed(long bytes) {
    try (Arena arena = Arena.ofConfined()) {
      return arena.allocate(bytes);
    }
  }

  /** Fails if something was written just before a segment. */
  static void checkRegions() {
    for (GuardedMemory memory : REGIONS) {
      memory.check();
    }
  }
}
