package dev.sylvester.runner.hub;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.Locale;

/** SHA-256 of files. */
final class Sha256 {
  private Sha256() {}

  static String of(Path file) throws IOException {
    MessageDigest digest;
    try {
      digest = MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every Java platform has SHA-256", e);
    }
    ByteBuffer buffer = ByteBuffer.allocate(1 << 20);
    try (FileChannel channel = FileChannel.open(file)) {
      while (channel.read(buffer) >= 0) {
        digest.update(buffer.flip());
        buffer.clear();
      }
    }
    return HexFormat.of().formatHex(digest.digest());
  }

  /** Deletes a file whose digest differs from the expected one and says so. */
  static void require(String expected, Path file, String source) throws IOException {
    String actual = of(file);
    if (!actual.equals(expected.toLowerCase(Locale.ROOT))) {
      Files.deleteIfExists(file);
      throw new IOException(
          "%s has SHA-256 %s, expected %s; it was discarded".formatted(source, actual, expected));
    }
  }
}
