package dev.sylvester.runner.format;

import static java.nio.ByteOrder.LITTLE_ENDIAN;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/** Reads the header of a GGUF file front to back and never past its end. */
final class GgufCursor {
  static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(LITTLE_ENDIAN);
  static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED.withOrder(LITTLE_ENDIAN);
  static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(LITTLE_ENDIAN);

  private final Path file;
  private final MemorySegment data;
  private long position;

  GgufCursor(Path file, MemorySegment data) {
    this.file = file;
    this.data = data;
  }

  long position() {
    return position;
  }

  long remaining() {
    return data.byteSize() - position;
  }

  int readInt(String what) {
    return data.get(INT, advance(4, what));
  }

  long readLong(String what) {
    return data.get(LONG, advance(8, what));
  }

  /** A count of things that take at least {@code leastBytes} each. */
  long readCount(String what, long leastBytes, long most) {
    long count = readLong(what);
    if (count < 0 || count > most || count > remaining() / leastBytes) {
      throw error(
          what + " is " + Long.toUnsignedString(count) + ", with " + remaining() + " bytes left");
    }
    return count;
  }

  MemorySegment slice(long bytes, String what) {
    return data.asSlice(advance(bytes, what), bytes);
  }

  /** What was read since the cursor was at {@code start}. */
  MemorySegment since(long start) {
    return data.asSlice(start, position - start);
  }

  /** The bytes of a string, its length before it. */
  MemorySegment readStringBytes(String what) {
    long length = readLong(what);
    if (length < 0 || length > remaining()) {
      throw error(
          what
              + " has length "
              + Long.toUnsignedString(length)
              + ", with "
              + remaining()
              + " bytes left");
    }
    return slice(length, what);
  }

  /** A name of 1 to {@code most} bytes. */
  String readName(String what, int most) {
    MemorySegment bytes = readStringBytes(what);
    if (bytes.byteSize() == 0 || bytes.byteSize() > most) {
      throw error(what + " has length " + bytes.byteSize() + ", expected 1 to " + most);
    }
    return decode(file, bytes, what);
  }

  static String decode(Path file, MemorySegment utf8, String what) {
    try {
      return StandardCharsets.UTF_8.newDecoder().decode(utf8.asByteBuffer()).toString();
    } catch (CharacterCodingException e) {
      throw new ModelFormatException(file, what + " is not UTF-8", e);
    }
  }

  ModelFormatException error(String problem) {
    return new ModelFormatException(file, problem);
  }

  private long advance(long bytes, String what) {
    if (bytes < 0 || bytes > remaining()) {
      throw error("ends inside " + what + ", at byte " + data.byteSize());
    }
    long start = position;
    position += bytes;
    return start;
  }
}
