package dev.sylvester.kernels.internal;

import java.util.List;

/** No file of a native library can be loaded. */
public final class LibraryNotFoundError extends UnsatisfiedLinkError {
  private static final long serialVersionUID = 1L;

  /** Places that were tried, each with the reason. */
  private final transient List<String> refused;

  LibraryNotFoundError(String message, List<String> refused) {
    super(message);
    this.refused = List.copyOf(refused);
  }

  /**
   * Places that were tried.
   *
   * @return each with the reason
   */
  public List<String> refused() {
    return refused;
  }
}
