package dev.sylvester.kernels;

import dev.sylvester.kernels.ffi.SylvesterFfi;

/**
 * How keys or values are coded in a cache.
 *
 * @param rotation the orthogonal matrix
 * @param centered whether a calibrated mean is taken away first; needs a calibration
 * @param bits 2, 3, 4 or 8
 * @param group channels that share scale and zero, a multiple of 16
 * @param clip of a group's range, more than 0, at most 1
 */
public record KvCoding(Rotation rotation, boolean centered, int bits, int group, float clip) {
  /** The orthogonal matrix on a token. */
  public enum Rotation {
    /** None. */
    NONE,
    /** A Hadamard matrix on each head. */
    HEAD,
    /** A Hadamard matrix on some neighbouring heads; keys before rotary positions only. */
    GROUP;

    int code() {
      return switch (this) {
        case NONE -> SylvesterFfi.SYL_KV_ROTATE_NONE();
        case HEAD -> SylvesterFfi.SYL_KV_ROTATE_HEAD();
        case GROUP -> SylvesterFfi.SYL_KV_ROTATE_GROUP();
      };
    }

    static Rotation of(int code) {
      return code == HEAD.code() ? HEAD : code == GROUP.code() ? GROUP : NONE;
    }
  }

  /** Refuses null. */
  public KvCoding {
    Args.present("KvCoding", "rotation", rotation);
  }

  /**
   * With another rotation.
   *
   * @param value the orthogonal matrix
   * @return the changed copy
   */
  public KvCoding withRotation(Rotation value) {
    return new KvCoding(value, centered, bits, group, clip);
  }

  /**
   * With or without a calibrated mean.
   *
   * @param value whether it is taken away
   * @return the changed copy
   */
  public KvCoding withCentered(boolean value) {
    return new KvCoding(rotation, value, bits, group, clip);
  }

  /**
   * With other bits.
   *
   * @param value 2, 3, 4 or 8
   * @return the changed copy
   */
  public KvCoding withBits(int value) {
    return new KvCoding(rotation, centered, value, group, clip);
  }

  /**
   * With other groups.
   *
   * @param value a multiple of 16
   * @return the changed copy
   */
  public KvCoding withGroup(int value) {
    return new KvCoding(rotation, centered, bits, value, clip);
  }

  /**
   * With another clip.
   *
   * @param value more than 0, at most 1
   * @return the changed copy
   */
  public KvCoding withClip(float value) {
    return new KvCoding(rotation, centered, bits, group, value);
  }
}
