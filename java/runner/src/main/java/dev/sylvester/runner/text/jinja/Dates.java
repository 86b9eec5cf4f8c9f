package dev.sylvester.runner.text.jinja;

import java.time.Clock;
import java.time.LocalDateTime;
import java.time.format.DateTimeFormatter;
import java.util.Locale;

/** Python's {@code datetime.now().strftime}, in English. */
final class Dates {
  private Dates() {}

  static String format(String format, Clock clock) {
    LocalDateTime now = LocalDateTime.now(clock);
    StringBuilder out = new StringBuilder();
    for (int i = 0; i < format.length(); i++) {
      char c = format.charAt(i);
      if (c != '%' || i + 1 == format.length()) {
        out.append(c);
      } else {
        char directive = format.charAt(++i);
        out.append(
            directive == '%'
                ? "%"
                : DateTimeFormatter.ofPattern(pattern(directive), Locale.ENGLISH).format(now));
      }
    }
    return out.toString();
  }

  private static String pattern(char directive) {
    return switch (directive) {
      case 'Y' -> "uuuu";
      case 'y' -> "uu";
      case 'm' -> "MM";
      case 'B' -> "MMMM";
      case 'b' -> "MMM";
      case 'd' -> "dd";
      case 'j' -> "DDD";
      case 'A' -> "EEEE";
      case 'a' -> "EEE";
      case 'H' -> "HH";
      case 'I' -> "hh";
      case 'M' -> "mm";
      case 'S' -> "ss";
      case 'p' -> "a";
      case 'F' -> "uuuu-MM-dd";
      case 'T' -> "HH:mm:ss";
      default -> throw new TemplateException("strftime_now does not know %" + directive);
    };
  }
}
