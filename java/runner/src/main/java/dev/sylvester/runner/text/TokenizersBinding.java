package dev.sylvester.runner.text;

import ai.djl.huggingface.tokenizers.jni.LibUtils;
import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import dev.sylvester.runner.hub.ModelCache;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Locale;
import java.util.Properties;

/**
 * DJL's native binding of Hugging Face's tokenizers, unpacked from its jar into the user's cache.
 *
 * <p>DJL's own loader comes second: it first looks for a graphics card, which takes longer than
 * everything else here together, and on a machine with one it wants to download another library.
 */
final class TokenizersBinding {
  private static final String RESOURCES = "/native/lib/";

  static {
    if (!loadFromCache() && !loadFromTemporaryFile()) {
      setIfAbsent("ai.djl.offline", "true");
      LibUtils.checkStatus();
    }
  }

  private TokenizersBinding() {}

  static TokenizersLibrary get() {
    return TokenizersLibrary.LIB;
  }

  private static boolean loadFromCache() {
    try {
      Path path = cacheFolder().resolve(fileName());
      if (!Files.exists(path)) {
        Files.createDirectories(path.getParent());
        Path partial = Files.createTempFile(path.getParent(), "partial-", null);
        try {
          unpack(partial);
          Files.move(partial, path, StandardCopyOption.ATOMIC_MOVE);
        } finally {
          Files.deleteIfExists(partial);
        }
      }
      load(path);
      return true;
    } catch (IOException | UnsatisfiedLinkError e) {
      return false;
    }
  }

  /** For a home that cannot be written to, or not executed from. */
  private static boolean loadFromTemporaryFile() {
    try {
      Path path = Files.createTempFile("sylvester-", fileName());
      try {
        unpack(path);
        load(path);
      } finally {
        Files.delete(path);
      }
      return true;
    } catch (IOException | UnsatisfiedLinkError e) {
      return false;
    }
  }

  private static void unpack(Path path) throws IOException {
    String name = RESOURCES + platform() + "/cpu/" + fileName();
    try (InputStream library = TokenizersLibrary.class.getResourceAsStream(name)) {
      if (library == null) {
        throw new NoSuchFileException(name);
      }
      Files.copy(library, path, StandardCopyOption.REPLACE_EXISTING);
    }
  }

  @SuppressWarnings("restricted")
  private static void load(Path path) {
    System.load(path.toAbsolutePath().toString());
  }

  private static String fileName() {
    return System.mapLibraryName("tokenizers");
  }

  private static Path cacheFolder() throws IOException {
    Properties properties = new Properties();
    try (InputStream in =
        TokenizersLibrary.class.getResourceAsStream(RESOURCES + "tokenizers.properties")) {
      properties.load(in);
    }
    return ModelCache.root().resolve("tokenizers").resolve(properties.getProperty("version"));
  }

  private static String platform() {
    boolean mac = System.getProperty("os.name").toLowerCase(Locale.ROOT).startsWith("mac");
    String arch = System.getProperty("os.arch");
    return (mac ? "osx-" : "linux-") + (arch.equals("amd64") ? "x86_64" : arch);
  }

  private static void setIfAbsent(String name, String value) {
    if (System.getProperty(name) == null && System.getenv(name) == null) {
      System.setProperty(name, value);
    }
  }
}
