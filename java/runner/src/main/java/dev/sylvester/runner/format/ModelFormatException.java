package dev.sylvester.runner.format;

import java.nio.file.Path;

/**
 * A model file that cannot be used. The message is one line that names the file, the tensor or key,
 * and the offending value.
 */
public final class ModelFormatException extends RuntimeException {
  private static final long serialVersionUID = 1L;
  private static final int SHOWN_LENGTH = 80;

  /** A problem of a file, one line, values from the file quoted. */
  public ModelFormatException(Path file, String problem) {
    super(file + ": " + problem);
  }

  /** A problem of a file found by other code. */
  public ModelFormatException(Path file, String problem, Throwable cause) {
    super(file + ": " + problem, cause);
  }

  /** Text from a file in quotes, made safe for one line of a terminal. */
  public static String quote(String text) {
    return "'" + oneLine(text) + "'";
  }

  /** The beginning of a text, with all that could break or reorder a line escaped. */
  static String oneLine(String text) {
    StringBuilder line = new StringBuilder();
    text.codePoints()
        .limit(SHOWN_LENGTH)
        .forEach(
            c -> {
              if (Character.isISOControl(c) || !Character.isDefined(c) || isDirectional(c)) {
                line.append(String.format("\\u%04x", c));
              } else {
                line.appendCodePoint(c);
              }
            });
    if (text.codePointCount(0, text.length()) > SHOWN_LENGTH) {
      line.append("...");
    }
    return line.toString();
  }

  /** Characters that break lines or reorder text without being control characters. */
  private static boolean isDirectional(int c) {
    int type = Character.getType(c);
    return type == Character.FORMAT
        || type == Character.SURROGATE
        || type == Character.LINE_SEPARATOR
        || type == Character.PARAGRAPH_SEPARATOR;
  }
}
