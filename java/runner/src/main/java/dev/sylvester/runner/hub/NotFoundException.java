package dev.sylvester.runner.hub;

import java.io.IOException;

/** There is nothing at the address. */
final class NotFoundException extends IOException {
  private static final long serialVersionUID = 1;

  NotFoundException(String message) {
    super(message);
  }
}
