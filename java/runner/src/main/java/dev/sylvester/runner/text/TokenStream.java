package dev.sylvester.runner.text;

import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;

/**
 * Turns tokens into text one by one. A token may end in the middle of a character: its bytes wait
 * for the next, so pieces never split a character and never change later. Bytes that are not UTF-8
 * become U+FFFD. One thread at a time.
 */
public final class TokenStream {
  private final TokenTable table;
  private final boolean skipSpecial;
  private final CharsetDecoder decoder =
      StandardCharsets.UTF_8
          .newDecoder()
          .onMalformedInput(CodingErrorAction.REPLACE)
          .onUnmappableCharacter(CodingErrorAction.REPLACE);
  private ByteBuffer bytes = ByteBuffer.allocate(64);
  private CharBuffer chars = CharBuffer.allocate(64);
  private boolean stripSpace;

  TokenStream(TokenTable table, boolean skipSpecial, boolean stripSpace) {
    this.table = table;
    this.skipSpecial = skipSpecial;
    this.stripSpace = stripSpace;
  }

  /**
   * Takes the next token.
   *
   * @return the text that is now complete, often empty
   * @throws IllegalArgumentException if there is no such token
   */
  public String add(int token) {
    append(token);
    return take();
  }

  /** The text of an unfinished character, as U+FFFD; the stream is as new afterwards. */
  public String finish() {
    decode(true);
    decoder.reset();
    return take();
  }

  /** As {@link #add}, leaving the text inside until it is taken. */
  void append(int token) {
    if (skipSpecial && table.isSpecial(token)) {
      return;
    }
    byte[] piece = table.bytes(token);
    int from = stripSpace && piece.length > 0 && piece[0] == ' ' ? 1 : 0;
    stripSpace &= piece.length == 0;
    int length = piece.length - from;
    if (bytes.remaining() < length) {
      bytes = ByteBuffer.allocate(2 * (bytes.position() + length)).put(bytes.flip());
    }
    bytes.put(piece, from, length);
    decode(false);
  }

  private void decode(boolean atEnd) {
    bytes.flip();
    // UTF-8 never has more UTF-16 units than bytes; U+FFFD may replace a single byte.
    int most = bytes.remaining() + 1;
    if (chars.remaining() < most) {
      chars = CharBuffer.allocate(2 * (chars.position() + most)).put(chars.flip());
    }
    decoder.decode(bytes, chars, atEnd);
    bytes.compact();
  }

  String take() {
    String text = chars.flip().toString();
    chars.clear();
    return text;
  }
}
