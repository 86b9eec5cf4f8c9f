package dev.sylvester.runner.format;

import static java.nio.ByteOrder.LITTLE_ENDIAN;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
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

  // What is being read, for messages. Kept apart: building text for every key and tensor would
  // take longer than reading them.
  private String kind = "header";
  private int index = -1;
  private String name;

  GgufCursor(Path file, MemorySegment data) {
    this.file = file;
    this.data = data;
  }

  /** Errors from now on are about the thing of this number, whose name is not known yet. */
  void enter(String kind, int index) {
    this.kind = kind;
    this.index = index;
    this.name = null;
  }

  /** Errors from now on are about the thing of this name. */
  void enter(String kind, String name) {
    this.kind = kind;
    this.name = name;
  }

  long position() {
    return position;
  }

  long remaining() {
    return data.byteSize() - position;
  }

  int readInt() {
    return data.get(INT, advance(4));
  }

  long readLong() {
    return data.get(LONG, advance(8));
  }

  /** A count of things that take at least {@code leastBytes} each. */
  long readCount(String what, long leastBytes, long most) {
    long count = readLong();
    if (count < 0 || count > most || count > remaining() / leastBytes) {
      throw error(
          what + " is " + Long.toUnsignedString(count) + ", with " + remaining() + " bytes left");
    }
    return count;
  }

  MemorySegment slice(long bytes) {
    return data.asSlice(advance(bytes), bytes);
  }

  /** What was read since the cursor was at {@code start}. */
  MemorySegment since(long start) {
    return data.asSlice(start, position - start);
  }

  /** Moves past a string and its length, which is returned. */
  long skipString() {
    long length = readCount("string length", 1, Long.MAX_VALUE);
    position += length;
    return length;
  }

  /** The bytes of a string, its length before it. */
  MemorySegment readStringBytes() {
    long length = skipString();
    return data.asSlice(position - length, length);
  }

  /** A name of 1 to {@code most} bytes. */
  String readName(int most) {
    MemorySegment bytes = readStringBytes();
    if (bytes.byteSize() == 0 || bytes.byteSize() > most) {
      throw error("name length is " + bytes.byteSize() + ", expected 1 to " + most);
    }
    return decode(bytes);
  }

  String decode(MemorySegment utf8) {
    byte[] bytes = utf8.toArray(ValueLayout.JAVA_BYTE);
    String text = new String(bytes, StandardCharsets.UTF_8);
    // Only text with a replacement character may have been malformed: the strict decoder is slow.
    if (text.indexOf('\uFFFD') >= 0) {
      try {
        StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes));
      } catch (CharacterCodingException e) {
        throw error("not UTF-8: " + ModelFormatException.quote(text));
      }
    }
    return text;
  }

  ModelFormatException error(String problem) {
    String subject = kind;
    if (name != null) {
      subject += " " + ModelFormatException.quote(name);
    } else if (index >= 0) {
      subject += " " + index;
    }
    return new ModelFormatException(file, subject + ": " + problem);
  }

  private long advance(long bytes) {
    if (bytes > remaining()) {
      throw error("the file ends here, at byte " + data.byteSize());
    }
    long start = position;
    position += bytes;
    return start;
  }
}
