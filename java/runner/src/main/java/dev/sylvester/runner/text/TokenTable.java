package dev.sylvester.runner.text;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.BitSet;
import java.util.HashMap;
import java.util.Map;
import java.util.OptionalInt;
import java.util.concurrent.atomic.AtomicReferenceArray;

/** The tokens of a vocabulary by id, and the bytes each stands for. */
final class TokenTable {
  /** How a vocabulary spells bytes that are not letters. */
  enum Spelling {
    /** Each byte is a printable character, as in GPT-2. */
    BYTE_LEVEL,
    /** U+2581 is a space and {@code <0xNN>} a byte. */
    SENTENCE_PIECE
  }

  private static final byte[] NOTHING = {};
  private static final byte[] BYTE_OF_CHAR = byteOfChar();
  private static final int CHARS = 324;

  private final String[] tokens;
  private final BitSet added;
  private final BitSet special;
  private final Spelling spelling;
  private final boolean stripsSpace;
  private final AtomicReferenceArray<byte[]> bytes;

  /**
   * @param tokens by id, null where an id is not in use
   * @param added tokens found in a text before it is cut into words, which byte-level vocabularies
   *     spell as text
   * @param special tokens that are not text
   * @param stripsSpace whether decoding drops a space at the beginning
   */
  TokenTable(
      String[] tokens, BitSet added, BitSet special, Spelling spelling, boolean stripsSpace) {
    this.tokens = tokens;
    this.added = added;
    this.special = special;
    this.spelling = spelling;
    this.stripsSpace = stripsSpace;
    this.bytes = new AtomicReferenceArray<>(tokens.length);
  }

  int size() {
    return tokens.length;
  }

  boolean stripsSpace() {
    return stripsSpace;
  }

  boolean isSpecial(int id) {
    return id >= 0 && special.get(id);
  }

  /** The token's text as the vocabulary spells it, or null. */
  String token(int id) {
    return tokens[id];
  }

  OptionalInt find(String token) {
    for (int id = 0; id < tokens.length; id++) {
      if (token.equals(tokens[id])) {
        return OptionalInt.of(id);
      }
    }
    return OptionalInt.empty();
  }

  /**
   * Ids of these tokens in another vocabulary; -1 where it lacks one. An id that is not in use is
   * the same there if nothing uses it there either.
   */
  int[] idsIn(TokenTable other) {
    Map<String, Integer> byToken = new HashMap<>();
    for (int id = other.tokens.length - 1; id >= 0; id--) {
      if (other.tokens[id] != null && spelling == other.spelling) {
        byToken.put(other.tokens[id], id);
      }
    }
    int[] ids = new int[tokens.length];
    for (int id = 0; id < ids.length; id++) {
      if (tokens[id] == null) {
        ids[id] = id >= other.tokens.length || other.tokens[id] == null ? id : -1;
      } else {
        ids[id] = byToken.getOrDefault(tokens[id], -1);
      }
    }
    return ids;
  }

  /**
   * The bytes a token stands for; nothing for an id above the vocabulary, as the rows of a padded
   * embedding have.
   */
  byte[] bytes(int id) {
    if (id < 0) {
      throw new IllegalArgumentException("token id " + id + " is negative");
    }
    if (id >= tokens.length || tokens[id] == null) {
      return NOTHING;
    }
    byte[] known = bytes.get(id);
    if (known == null) {
      known = spelled(id);
      bytes.set(id, known);
    }
    return known;
  }

  private byte[] spelled(int id) {
    String token = tokens[id];
    return switch (spelling) {
      case BYTE_LEVEL -> added.get(id) ? utf8(token) : byteLevel(token);
      case SENTENCE_PIECE ->
          isByte(token)
              ? new byte[] {(byte) Integer.parseInt(token, 3, 5, 16)}
              : utf8(token.replace('\u2581', ' '));
    };
  }

  private static boolean isByte(String token) {
    return token.length() == 6
        && token.startsWith("<0x")
        && Character.digit(token.charAt(3), 16) >= 0
        && Character.digit(token.charAt(4), 16) >= 0
        && token.charAt(5) == '>';
  }

  private static byte[] byteLevel(String token) {
    ByteBuffer out = ByteBuffer.allocate(token.length());
    for (int i = 0; i < token.length(); i++) {
      char c = token.charAt(i);
      if (c >= CHARS || (BYTE_OF_CHAR[c] == 0 && c != '\u0100')) {
        return utf8(token);
      }
      out.put(BYTE_OF_CHAR[c]);
    }
    return out.array();
  }

  /**
   * GPT-2's alphabet: printable Latin-1 characters are their own bytes, the other bytes are the
   * characters from U+0100 on, in order.
   */
  private static byte[] byteOfChar() {
    byte[] bytes = new byte[CHARS];
    char next = 0x100;
    for (int b = 0; b < 256; b++) {
      boolean printable = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xFF && b != 0xAD);
      bytes[printable ? b : next++] = (byte) b;
    }
    return bytes;
  }

  private static byte[] utf8(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }
}
