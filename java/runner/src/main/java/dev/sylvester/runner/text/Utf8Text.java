package dev.sylvester.runner.text;

/**
 * Decodes UTF-8 that arrives in pieces. Bytes that cannot belong to a character become U+FFFD as
 * soon as that is certain, as many as Unicode recommends: one for each longest piece that begins a
 * character. Java's own decoder counts encoded surrogates otherwise than everyone else.
 */
final class Utf8Text {
  private static final char REPLACEMENT = '\ufffd';

  private final StringBuilder text = new StringBuilder();
  private int character;
  private int missing;
  // Range of the next byte; narrower than usual after bytes that would begin too long a form, a
  // surrogate or more than U+10FFFF.
  private int lowest;
  private int highest;

  void add(byte[] bytes, int from) {
    for (int i = from; i < bytes.length; i++) {
      add(Byte.toUnsignedInt(bytes[i]));
    }
  }

  private void add(int b) {
    if (missing > 0) {
      if (b >= lowest && b <= highest) {
        character = character << 6 | b & 0x3F;
        lowest = 0x80;
        highest = 0xBF;
        if (--missing == 0) {
          text.appendCodePoint(character);
        }
        return;
      }
      end();
    }
    if (b < 0x80) {
      text.append((char) b);
    } else if (b >= 0xC2 && b <= 0xDF) {
      begin(b & 0x1F, 1, 0x80, 0xBF);
    } else if (b >= 0xE0 && b <= 0xEF) {
      begin(b & 0x0F, 2, b == 0xE0 ? 0xA0 : 0x80, b == 0xED ? 0x9F : 0xBF);
    } else if (b >= 0xF0 && b <= 0xF4) {
      begin(b & 0x07, 3, b == 0xF0 ? 0x90 : 0x80, b == 0xF4 ? 0x8F : 0xBF);
    } else {
      text.append(REPLACEMENT);
    }
  }

  private void begin(int bits, int more, int least, int most) {
    character = bits;
    missing = more;
    lowest = least;
    highest = most;
  }

  /** An unfinished character is none. */
  void end() {
    if (missing > 0) {
      text.append(REPLACEMENT);
      missing = 0;
    }
  }

  /** The text since it was last taken. */
  String take() {
    String taken = text.toString();
    text.setLength(0);
    return taken;
  }
}
