package dev.sylvester.kernels;

import dev.sylvester.kernels.ffi.SylvesterFfi;

/**
 * How groups of numbers become codes, scales and zeros.
 *
 * @param grid the levels of codes
 * @param clipMode how a group's range is clipped
 * @param integerZero whether zero points are whole codes, as in RotateKV
 */
public record KvQuantizer(Grid grid, ClipMode clipMode, boolean integerZero) {
  /** The levels of codes. */
  public enum Grid {
    /** Equally far apart. */
    UNIFORM,
    /** Of least squared error for a normal distribution; 2, 3 and 4 bits. */
    LLOYD_MAX;

    int code() {
      return switch (this) {
        case UNIFORM -> SylvesterFfi.SYL_KV_UNIFORM();
        case LLOYD_MAX -> SylvesterFfi.SYL_KV_LLOYD_MAX();
      };
    }

    static Grid of(int code) {
      return code == LLOYD_MAX.code() ? LLOYD_MAX : UNIFORM;
    }
  }

  /** What becomes of a group's range. */
  public enum ClipMode {
    /** {@code [clip min, clip max]}, as in RotateKV. */
    RANGE,
    /** Shrunk by clip about its middle. */
    MIDPOINT;

    int code() {
      return switch (this) {
        case RANGE -> SylvesterFfi.SYL_KV_CLIP_RANGE();
        case MIDPOINT -> SylvesterFfi.SYL_KV_CLIP_MIDPOINT();
      };
    }

    static ClipMode of(int code) {
      return code == MIDPOINT.code() ? MIDPOINT : RANGE;
    }
  }

  /** Refuses null. */
  public KvQuantizer {
    Args.present("KvQuantizer", "grid", grid);
    Args.present("KvQuantizer", "clipMode", clipMode);
  }

  /**
   * With other levels.
   *
   * @param value the levels of codes
   * @return the changed copy
   */
  public KvQuantizer withGrid(Grid value) {
    return new KvQuantizer(value, clipMode, integerZero);
  }

  /**
   * With another way to clip.
   *
   * @param value what becomes of a group's range
   * @return the changed copy
   */
  public KvQuantizer withClipMode(ClipMode value) {
    return new KvQuantizer(grid, value, integerZero);
  }

  /**
   * With another kind of zero point.
   *
   * @param value whether zero points are whole codes
   * @return the changed copy
   */
  public KvQuantizer withIntegerZero(boolean value) {
    return new KvQuantizer(grid, clipMode, value);
  }
}
