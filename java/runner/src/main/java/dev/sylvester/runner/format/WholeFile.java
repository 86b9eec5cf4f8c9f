package dev.sylvester.runner.format;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.UUID;
import java.util.function.Supplier;

/** Files that are there as a whole or not at all. */
public final class WholeFile {
  private static final long PIECE = 1 << 30;

  private WholeFile() {}

  /**
   * A part of a file.
   *
   * @param position where it begins
   * @param bytes gives its bytes, once
   */
  public record Part(long position, Supplier<MemorySegment> bytes) {}

  /**
   * Writes beside the file and renames: whoever has an old one open or mapped keeps it.
   *
   * @param file the new one, or one that it takes the place of
   * @param parts each is asked for when those before it are written; between them are zeros
   * @throws IOException when it cannot be written
   */
  public static void write(Path file, List<Part> parts) throws IOException {
    Path target = file.toAbsolutePath();
    Path temporary = target.resolveSibling(target.getFileName() + "." + UUID.randomUUID() + ".tmp");
    try (FileChannel channel =
        FileChannel.open(temporary, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
      for (Part part : parts) {
        MemorySegment bytes = part.bytes.get();
        for (long at = 0; at < bytes.byteSize(); ) {
          long piece = Math.min(PIECE, bytes.byteSize() - at);
          at += channel.write(bytes.asSlice(at, piece).asByteBuffer(), part.position + at);
        }
      }
      channel.force(true);
      Files.move(
          temporary, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } finally {
      Files.deleteIfExists(temporary);
    }
  }
}
