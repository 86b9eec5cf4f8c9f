package dev.sylvester.kernels;

/** Why a call failed; the status codes of the C ABI. */
public enum Status {
  /** A required pointer is missing. */
  NULL_ARGUMENT(1),
  /** A scalar argument is outside its documented range, or not finite. */
  BAD_VALUE(2),
  /** Sizes or strides do not fit each other, the element type or the segment. */
  BAD_SHAPE(3),
  /** An output overlaps an input in a way the function does not allow. */
  OVERLAP(4),
  /** The workspace or an output buffer is too small. */
  WORKSPACE(5),
  /** This build, processor or element type cannot do it. */
  UNSUPPORTED(6),
  /** A native allocation failed. */
  OUT_OF_MEMORY(7),
  /** Data given to the function are malformed. */
  BAD_DATA(8),
  /** A bug in the library. */
  INTERNAL(9);

  private static final Status[] BY_CODE = new Status[10];

  static {
    for (Status status : values()) {
      BY_CODE[status.code] = status;
    }
  }

  private final int code;

  Status(int code) {
    this.code = code;
  }

  /**
   * The status code of the C ABI.
   *
   * @return the code
   */
  public int code() {
    return code;
  }

  /**
   * The status of a code other than SYL_OK.
   *
   * @param code of the C ABI
   * @return INTERNAL for an unknown code
   */
  public static Status of(int code) {
    return code > 0 && code < BY_CODE.length ? BY_CODE[code] : INTERNAL;
  }
}
