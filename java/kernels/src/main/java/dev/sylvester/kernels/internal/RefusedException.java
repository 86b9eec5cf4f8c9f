package dev.sylvester.kernels.internal;

/** Why a file is not used. */
final class RefusedException extends Exception {
  private static final long serialVersionUID = 1L;

  RefusedException(String reason) {
    super(reason);
  }
}
