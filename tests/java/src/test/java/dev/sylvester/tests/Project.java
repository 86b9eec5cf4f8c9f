package dev.sylvester.tests;

import java.nio.file.Path;

/** Where the checkout is. */
final class Project {
  private Project() {}

  static Path path(String relative) {
    return Path.of(System.getProperty("sylvester.root")).resolve(relative);
  }
}
