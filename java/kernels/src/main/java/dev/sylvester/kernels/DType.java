package dev.sylvester.kernels;

import dev.sylvester.kernels.ffi.SylvesterFfi;
import java.lang.foreign.MemorySegment;

/** Element and block types; the ids are the {@code ggml_type} numbers of GGUF files. */
public enum DType {
  /** 32-bit float. */
  F32(0, 1, 4),
  /** 16-bit float. */
  F16(1, 1, 2),
  /** 32 weights of 4 bits, one scale. */
  Q4_0(2, 32, 18),
  /** 32 weights of 4 bits, scale and minimum. */
  Q4_1(3, 32, 20),
  /** 32 weights of 5 bits, one scale. */
  Q5_0(6, 32, 22),
  /** 32 weights of 5 bits, scale and minimum. */
  Q5_1(7, 32, 24),
  /** 32 weights of 8 bits, one scale. */
  Q8_0(8, 32, 34),
  /** 256 weights of 4 bits, 6-bit scales and minima per 32. */
  Q4_K(12, 256, 144),
  /** 256 weights of 5 bits, 6-bit scales and minima per 32. */
  Q5_K(13, 256, 176),
  /** 256 weights of 6 bits, 8-bit scales per 16. */
  Q6_K(14, 256, 210),
  /** IEEE double. */
  F64(28, 1, 8),
  /** bfloat16. */
  BF16(30, 1, 2);

  private static final DType[] BY_ID = new DType[31];

  static {
    for (DType type : values()) {
      BY_ID[type.id] = type;
    }
  }

  private final int id;
  private final int blockSize;
  private final int blockBytes;

  DType(int id, int blockSize, int blockBytes) {
    this.id = id;
    this.blockSize = blockSize;
    this.blockBytes = blockBytes;
  }

  /**
   * The type of a GGUF file's number.
   *
   * @param id a {@code ggml_type} number
   * @return the type
   * @throws SylvesterException (UNSUPPORTED) if this library has no such type
   */
  public static DType fromId(int id) {
    if (id < 0 || id >= BY_ID.length || BY_ID[id] == null) {
      throw new SylvesterException(
          Status.UNSUPPORTED,
          "DType.fromId: id is " + id + ", not an element type of this library");
    }
    return BY_ID[id];
  }

  /**
   * The {@code ggml_type} number.
   *
   * @return the number
   */
  public int id() {
    return id;
  }

  /**
   * Elements in one block; 1 for plain types.
   *
   * @return the number of elements
   */
  public int blockSize() {
    return blockSize;
  }

  /**
   * Bytes of one block.
   *
   * @return the number of bytes
   */
  public int blockBytes() {
    return blockBytes;
  }

  /**
   * Bytes of n elements.
   *
   * @param n a multiple of the block size, not negative
   * @return the number of bytes
   * @throws SylvesterException (BAD_SHAPE) if n is no such multiple, or the size overflows
   */
  public long bytes(long n) {
    if (n < 0 || n % blockSize != 0 || n / blockSize > Long.MAX_VALUE / blockBytes) {
      throw new SylvesterException(
          Status.BAD_SHAPE,
          "DType.bytes: n is "
              + n
              + ", not a number of elements of "
              + this
              + " (blocks of "
              + blockSize
              + ")");
    }
    return n / blockSize * blockBytes;
  }

  /**
   * Converts elements of this type to float: {@code y[i] = float(x[i])}.
   *
   * @param x n elements of this type
   * @param n a multiple of the block size
   * @param y n floats; must not overlap x
   */
  public void toFloat(MemorySegment x, long n, MemorySegment y) {
    Args.input("DType.toFloat", "x", x, bytes(n));
    Args.output("DType.toFloat", "y", y, F32.bytes(n));
    SylvesterException.check(SylvesterFfi.syl_dequantize_f32(id, x, n, y));
  }

  /**
   * Rounds floats to this type, half to even; NaN stays NaN.
   *
   * @param x n floats
   * @param n the number of elements
   * @param y n elements of this type, {@link #F16} or {@link #BF16}; must not overlap x
   */
  public void fromFloat(MemorySegment x, long n, MemorySegment y) {
    Args.input("DType.fromFloat", "x", x, F32.bytes(n));
    Args.output("DType.fromFloat", "y", y, bytes(n));
    SylvesterException.check(SylvesterFfi.syl_convert_from_f32(id, x, n, y));
  }
}
