package dev.sylvester.runner.hub;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * The folder of the user's models: {@code $XDG_CACHE_HOME/sylvester} or {@code ~/.cache/sylvester}.
 */
public final class ModelCache {
  private ModelCache() {}

  /** The folder of everything Sylvester keeps for this user. */
  public static Path root() {
    String xdg = System.getenv("XDG_CACHE_HOME");
    // A test, or a user, may want another place than the environment says.
    String property = System.getProperty("sylvester.cache");
    if (property != null) {
      return Path.of(property);
    }
    // The XDG specification says that a relative value is to be ignored.
    return xdg != null && Path.of(xdg).isAbsolute()
        ? Path.of(xdg, "sylvester")
        : Path.of(System.getProperty("user.home"), ".cache", "sylvester");
  }

  static Path models() {
    return root().resolve("models");
  }

  /** A folder of its own for files on their way, on the file system of the models. */
  static Path temporaryFolder() throws IOException {
    Files.createDirectories(root());
    return Files.createTempDirectory(root(), "tmp-");
  }
}
