package dev.sylvester.runner.text.jinja;

import java.util.Iterator;
import java.util.List;
import java.util.Map;

/** Python's {@code json.dumps} with {@code ensure_ascii=False}. */
final class Json {
  private final StringBuilder out = new StringBuilder();
  private final String indent;

  private Json(String indent) {
    this.indent = indent;
  }

  /**
   * @param indent for each level, on lines of their own; null: all on one line
   */
  static String of(Object value, String indent) {
    Json json = new Json(indent);
    json.write(value, 0);
    return json.out.toString();
  }

  private void write(Object value, int depth) {
    switch (Values.require(value)) {
      case null -> out.append("null");
      case Boolean b -> out.append(b);
      case String s -> quote(s);
      case List<?> list -> {
        Iterator<?> elements = list.iterator();
        writeAll(
            '[',
            ']',
            elements.hasNext(),
            depth,
            () -> {
              write(elements.next(), depth + 1);
              return elements.hasNext();
            });
      }
      case Map<?, ?> map -> {
        Iterator<? extends Map.Entry<?, ?>> entries = map.entrySet().iterator();
        writeAll(
            '{',
            '}',
            entries.hasNext(),
            depth,
            () -> {
              Map.Entry<?, ?> entry = entries.next();
              quote(entry.getKey() instanceof String s ? s : Json.of(entry.getKey(), null));
              out.append(": ");
              write(entry.getValue(), depth + 1);
              return entries.hasNext();
            });
      }
      default -> out.append(Values.repr(value));
    }
  }

  /** Writes one element and tells whether there are more. */
  private interface Element {
    boolean write();
  }

  private void writeAll(char open, char close, boolean any, int depth, Element element) {
    out.append(open);
    boolean more = any;
    while (more) {
      newLine(depth + 1);
      more = element.write();
      if (more) {
        out.append(indent == null ? ", " : ",");
      }
    }
    if (any) {
      newLine(depth);
    }
    out.append(close);
  }

  private void newLine(int depth) {
    if (indent != null) {
      out.append('\n').append(indent.repeat(depth));
    }
  }

  private void quote(String text) {
    out.append('"');
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      int simple = "\"\\\n\r\t\b\f".indexOf(c);
      if (simple >= 0) {
        out.append('\\').append("\"\\nrtbf".charAt(simple));
      } else if (c < ' ') {
        out.append("\\u%04x".formatted((int) c));
      } else {
        out.append(c);
      }
    }
    out.append('"');
  }
}
