package dev.sylvester.runner.text.jinja;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** Python's strings where Java's differ: whitespace, escapes, positions in characters. */
final class Text {
  private Text() {}

  /** Python's {@code str.isspace}. */
  static boolean isSpace(int c) {
    return (c >= 9 && c <= 13)
        || (c >= 28 && c <= 32)
        || c == 0x85
        || c == 0xA0
        || (c > 0xFF && Character.isSpaceChar(c));
  }

  /** Whether there is text and all of it is whitespace. */
  static boolean isBlank(String text) {
    return !text.isEmpty() && text.chars().allMatch(Text::isSpace);
  }

  /**
   * Python's {@code strip}, {@code lstrip} and {@code rstrip}.
   *
   * @param chars what to strip; null: whitespace
   */
  static String strip(String text, String chars, boolean left, boolean right) {
    int from = 0;
    int to = text.length();
    while (left && from < to && isStripped(text.codePointAt(from), chars)) {
      from += Character.charCount(text.codePointAt(from));
    }
    while (right && to > from && isStripped(text.codePointBefore(to), chars)) {
      to -= Character.charCount(text.codePointBefore(to));
    }
    return text.substring(from, to);
  }

  private static boolean isStripped(int c, String chars) {
    return chars == null ? isSpace(c) : chars.indexOf(c) >= 0;
  }

  static int length(String text) {
    return text.codePointCount(0, text.length());
  }

  /** The characters of a string, each a string. */
  static List<Object> characters(String text) {
    List<Object> characters = new ArrayList<>(text.length());
    text.codePoints().forEach(c -> characters.add(Character.toString(c)));
    return characters;
  }

  /** Python's {@code split}: at a separator, or at runs of whitespace if it is null. */
  static List<Object> split(String text, String separator, long most) {
    List<Object> parts = new ArrayList<>();
    String rest = separator == null ? strip(text, null, true, false) : text;
    if (separator == null && rest.isEmpty()) {
      return parts;
    }
    while (most < 0 || parts.size() < most) {
      int end = separator == null ? nextSpace(rest) : rest.indexOf(separator);
      if (end < 0) {
        break;
      }
      String after =
          separator == null
              ? strip(rest.substring(end), null, true, false)
              : rest.substring(end + separator.length());
      parts.add(rest.substring(0, end));
      rest = after;
      if (separator == null && rest.isEmpty()) {
        return parts;
      }
    }
    parts.add(rest);
    return parts;
  }

  private static int nextSpace(String text) {
    for (int i = 0; i < text.length(); i++) {
      if (isSpace(text.charAt(i))) {
        return i;
      }
    }
    return -1;
  }

  /** Python's {@code replace}: old, new and how often at most. */
  static String replace(String text, Arguments arguments) {
    String old = Values.toText(arguments.require(0));
    String replacement = Values.toText(arguments.require(1));
    Object most = arguments.get(2, "count", null);
    if (most == null || old.isEmpty()) {
      return text.replace(old, replacement);
    }
    return Filters.join(split(text, old, Values.toLong(most)), replacement);
  }

  /** The first letter of each word in upper case, the others in lower case: {@code str.title}. */
  static String title(String text) {
    StringBuilder out = new StringBuilder();
    boolean inWord = false;
    for (int c : text.codePoints().toArray()) {
      boolean letter = Character.isLetter(c);
      out.appendCodePoint(inWord ? Character.toLowerCase(c) : Character.toTitleCase(c));
      inWord = letter;
    }
    return out.toString();
  }

  static String capitalize(String text) {
    if (text.isEmpty()) {
      return text;
    }
    int first = text.offsetByCodePoints(0, 1);
    return text.substring(0, first).toUpperCase(Locale.ROOT)
        + text.substring(first).toLowerCase(Locale.ROOT);
  }

  /** The value of a string literal; an unknown escape stays as it is. */
  static String unescape(String body) {
    if (body.indexOf('\\') < 0) {
      return body;
    }
    StringBuilder out = new StringBuilder();
    for (int i = 0; i < body.length(); i++) {
      char c = body.charAt(i);
      if (c != '\\') {
        out.append(c);
        continue;
      }
      char escape = body.charAt(++i);
      int simple = "abfnrtv\\'\"".indexOf(escape);
      int digits = escape == 'x' ? 2 : escape == 'u' ? 4 : escape == 'U' ? 8 : 0;
      if (simple >= 0) {
        out.append("\u0007\b\f\n\r\t\u000b\\'\"".charAt(simple));
      } else if (digits > 0) {
        out.appendCodePoint(hex(body, i + 1, digits));
        i += digits;
      } else if (escape >= '0' && escape <= '7') {
        int end = i + 1;
        while (end < Math.min(i + 3, body.length()) && Character.digit(body.charAt(end), 8) >= 0) {
          end++;
        }
        out.append((char) Integer.parseInt(body, i, end, 8));
        i = end - 1;
      } else if (escape != '\n') {
        out.append('\\').append(escape);
      }
    }
    return out.toString();
  }

  private static int hex(String text, int from, int digits) {
    long value = 0;
    for (int i = from; i < from + digits; i++) {
      int digit = i < text.length() ? Character.digit(text.charAt(i), 16) : -1;
      value = digit < 0 ? Long.MAX_VALUE : value << 4 | digit;
      if (value > Character.MAX_CODE_POINT) {
        throw new TemplateException("a string holds a malformed escape");
      }
    }
    return (int) value;
  }

  /** Python's {@code repr} of a string. */
  static String quote(String text) {
    char quote = text.indexOf('\'') >= 0 && text.indexOf('"') < 0 ? '"' : '\'';
    StringBuilder out = new StringBuilder().append(quote);
    text.codePoints()
        .forEach(
            c -> {
              switch (c) {
                case '\n' -> out.append("\\n");
                case '\r' -> out.append("\\r");
                case '\t' -> out.append("\\t");
                case '\\' -> out.append("\\\\");
                default -> {
                  if (c == quote) {
                    out.append('\\').append(quote);
                  } else if (isPrintable(c)) {
                    out.appendCodePoint(c);
                  } else {
                    String format = c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x";
                    out.append(format.formatted(c));
                  }
                }
              }
            });
    return out.append(quote).toString();
  }

  private static boolean isPrintable(int c) {
    return switch (Character.getType(c)) {
      case Character.CONTROL,
          Character.FORMAT,
          Character.SURROGATE,
          Character.PRIVATE_USE,
          Character.UNASSIGNED,
          Character.LINE_SEPARATOR,
          Character.PARAGRAPH_SEPARATOR ->
          false;
      case Character.SPACE_SEPARATOR -> c == ' ';
      default -> true;
    };
  }
}
