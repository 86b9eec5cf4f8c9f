package dev.sylvester.runner.text;

/**
 * Turns tokens into text one by one. A token may end in the middle of a character: its bytes wait
 * for the next, so pieces never split a character and never change later. Bytes that are not UTF-8
 * become U+FFFD. One thread at a time.
 */
public final class TokenStream {
  private final TokenTable table;
  private final boolean skipSpecial;
  private final Utf8Text text = new Utf8Text();
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
   * @throws IllegalArgumentException if the id is negative
   */
  public String add(int token) {
    append(token);
    return text.take();
  }

  /** What is left: U+FFFD for an unfinished character, otherwise nothing. */
  public String finish() {
    text.end();
    return text.take();
  }

  /** As {@link #add}, leaving the text inside until it is taken. */
  void append(int token) {
    if (skipSpecial && table.isSpecial(token)) {
      return;
    }
    byte[] bytes = table.bytes(token);
    if (bytes.length > 0) {
      text.add(bytes, stripSpace && bytes[0] == ' ' ? 1 : 0);
      stripSpace = false;
    }
  }
}
