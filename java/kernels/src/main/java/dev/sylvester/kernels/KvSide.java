package dev.sylvester.kernels;

import dev.sylvester.kernels.ffi.SylvesterFfi;

/** Keys or values. */
public enum KvSide {
  /** Keys, as they were appended. */
  KEYS,
  /** Values. */
  VALUES;

  int code() {
    return switch (this) {
      case KEYS -> SylvesterFfi.SYL_KV_KEYS();
      case VALUES -> SylvesterFfi.SYL_KV_VALUES();
    };
  }
}
