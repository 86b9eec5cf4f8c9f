package dev.sylvester.kernels;

import dev.sylvester.kernels.ffi.SylvesterFfi;

/** A call that the library refused. The message names the function, the argument and its value. */
public final class SylvesterException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** Why the call failed. */
  private final Status status;

  /**
   * An exception of Sylvester's own modules.
   *
   * @param status why the call failed
   * @param message function, argument and value
   */
  public SylvesterException(Status status, String message) {
    super(message);
    this.status = status;
  }

  /**
   * Why the call failed.
   *
   * @return the status
   */
  public Status status() {
    return status;
  }

  /** Returns if {@code code} is SYL_OK; otherwise throws with the calling thread's last error. */
  static void check(int code) {
    if (code != 0) {
      throw new SylvesterException(Status.of(code), SylvesterFfi.syl_last_error().getString(0));
    }
  }
}
