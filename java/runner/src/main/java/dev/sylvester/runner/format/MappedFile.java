package dev.sylvester.runner.format;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/** Maps model files. */
final class MappedFile {
  private MappedFile() {}

  /** The whole file, read-only, mapped until the arena is closed. */
  static MemorySegment map(Path file, Arena arena) {
    requireRegular(file);
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      return channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size(), arena);
    } catch (IOException e) {
      throw ModelFiles.unreadable(file, e);
    }
  }

  /** Refuses what is missing, and what could block or never end. */
  static void requireRegular(Path file) {
    if (!Files.isRegularFile(file)) {
      throw new ModelFormatException(
          file, Files.exists(file) ? "is not a regular file" : "no such file");
    }
  }
}
