package dev.sylvester.kernels.internal;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * A look at a shared library before the dynamic linker sees it: a cut file would crash the process
 * there.
 */
final class ElfFile {
  private static final int HEADER_BYTES = 64;
  private static final int PROGRAM_HEADER_BYTES = 56;
  private static final int MAGIC = 0x464c457f;
  private static final int CLASS_64_LITTLE_ENDIAN = 0x0102;
  private static final int SHARED_OBJECT = 3;
  private static final int LOADED_SEGMENT = 1;

  private ElfFile() {}

  /** Refuses what is no complete ELF library for this processor. */
  static void check(Path path) throws RefusedException {
    if (!Files.isRegularFile(path)) {
      throw new RefusedException(Files.exists(path) ? "it is no file" : "there is no such file");
    }
    try (FileChannel file = FileChannel.open(path)) {
      ByteBuffer header = read(file, 0, HEADER_BYTES);
      if (header.getInt(0) != MAGIC || header.getShort(4) != CLASS_64_LITTLE_ENDIAN) {
        throw new RefusedException("it is no 64-bit ELF file");
      }
      if (header.getShort(16) != SHARED_OBJECT) {
        throw new RefusedException("it is no shared library");
      }
      int machine = Short.toUnsignedInt(header.getShort(18));
      if (machine != Platform.elfMachine()) {
        throw new RefusedException(
            "it is for another processor (ELF machine %d, this is %d)"
                .formatted(machine, Platform.elfMachine()));
      }
      checkSegments(file, header.getLong(32), Short.toUnsignedInt(header.getShort(56)));
    } catch (IOException e) {
      throw new RefusedException("it cannot be read: " + e);
    }
  }

  private static void checkSegments(FileChannel file, long start, int count)
      throws IOException, RefusedException {
    for (int i = 0; i < count; i++) {
      ByteBuffer segment =
          read(file, start + (long) i * PROGRAM_HEADER_BYTES, PROGRAM_HEADER_BYTES);
      long offset = segment.getLong(8);
      long bytes = segment.getLong(32);
      boolean inside = offset >= 0 && bytes >= 0 && offset <= file.size() - bytes;
      if (segment.getInt(0) == LOADED_SEGMENT && !inside) {
        throw new RefusedException("it is cut off");
      }
    }
  }

  private static ByteBuffer read(FileChannel file, long offset, int bytes)
      throws IOException, RefusedException {
    ByteBuffer buffer = ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
    while (buffer.hasRemaining()) {
      if (offset < 0 || file.read(buffer, offset + buffer.position()) < 0) {
        throw new RefusedException("it is cut off");
      }
    }
    return buffer;
  }
}
