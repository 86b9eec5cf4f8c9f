package dev.sylvester.kernels;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.UUID;
import java.util.function.Function;

/** Files that are there as a whole or not at all. */
final class WholeFile {
  private static final long PIECE = 1 << 30;

  private WholeFile() {}

  /** Writes beside the file and renames: whoever has the old one open or mapped keeps it. */
  static void write(String function, Path file, MemorySegment bytes) throws IOException {
    Path target = Args.present(function, "file", file).toAbsolutePath();
    Path temporary = target.resolveSibling(target.getFileName() + "." + UUID.randomUUID() + ".tmp");
    try {
      try (FileChannel channel =
          FileChannel.open(temporary, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
        for (long at = 0; at < bytes.byteSize(); at += PIECE) {
          long size = Math.min(PIECE, bytes.byteSize() - at);
          ByteBuffer piece = bytes.asSlice(at, size).asByteBuffer();
          while (piece.hasRemaining()) {
            channel.write(piece);
          }
        }
        channel.force(true);
      }
      Files.move(temporary, target, StandardCopyOption.ATOMIC_MOVE);
    } finally {
      Files.deleteIfExists(temporary);
    }
  }

  /** Reads a file that is mapped meanwhile. */
  static <T> T map(String function, Path file, Function<MemorySegment, T> reader)
      throws IOException {
    try (FileChannel channel =
            FileChannel.open(Args.present(function, "file", file), StandardOpenOption.READ);
        Arena arena = Arena.ofConfined()) {
      // A mapping of nothing is at no address.
      return reader.apply(
          channel.size() == 0
              ? arena.allocate(1).asSlice(0, 0)
              : channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size(), arena));
    }
  }
}
