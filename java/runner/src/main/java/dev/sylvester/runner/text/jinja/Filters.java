package dev.sylvester.runner.text.jinja;

import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** Jinja's filters: {@code value | name(arguments)}. */
final class Filters {
  /** A filter of a value. */
  interface Filter {
    Object apply(Object value, Arguments arguments);
  }

  private static final Pattern WORD = Pattern.compile("[^-\\s({\\[<]+");
  private static final Comparator<Object> ORDER = Values::compare;

  private Filters() {}

  /** The filter of this name, or null. */
  static Filter named(String name) {
    return switch (name) {
      case "trim" ->
          (v, a) -> Text.strip(Values.toText(v), Methods.text(a, 0, "chars"), true, true);
      case "upper" -> (v, a) -> Values.toText(v).toUpperCase(Locale.ROOT);
      case "lower" -> (v, a) -> Values.toText(v).toLowerCase(Locale.ROOT);
      case "capitalize" -> (v, a) -> Text.capitalize(Values.toText(v));
      case "title" ->
          (v, a) -> WORD.matcher(Values.toText(v)).replaceAll(m -> Text.capitalize(m.group()));
      case "string" -> (v, a) -> Values.toText(v);
      case "safe" -> (v, a) -> v;
      case "escape", "e" -> (v, a) -> escape(Values.toText(v));
      case "replace" -> (v, a) -> Text.replace(Values.toText(v), a);
      case "indent" -> Filters::indent;
      case "length", "count" -> (v, a) -> Values.length(v);
      case "first" -> (v, a) -> Values.item(Values.elements(v), 0L);
      case "last" -> (v, a) -> Values.item(Values.elements(v), -1L);
      case "list" -> (v, a) -> new ArrayList<>(Values.elements(v));
      case "join" -> (v, a) -> join(select(v, a), Values.toText(a.get(0, "d", "")));
      case "reverse" -> (v, a) -> Values.slice(v, null, null, -1L);
      case "sort" -> (v, a) -> sort(Values.elements(v), a);
      case "unique" -> (v, a) -> unique(Values.elements(v));
      case "min" -> (v, a) -> Collections.min(Values.elements(v), ORDER);
      case "max" -> (v, a) -> Collections.max(Values.elements(v), ORDER);
      case "sum" ->
          (v, a) -> Values.elements(v).stream().reduce(a.get(1, "start", 0L), Values::add);
      case "items" -> (v, a) -> v instanceof Map<?, ?> m ? Methods.items(m) : List.of();
      case "dictsort" ->
          (v, a) ->
              sort(Methods.items((Map<?, ?>) v), new Arguments(List.of(), Map.of("attribute", 0L)));
      case "default", "d" ->
          (v, a) ->
              v instanceof Undefined
                      || (Values.isTrue(a.get(1, "boolean", false)) && !Values.isTrue(v))
                  ? a.get(0, "default_value", "")
                  : v;
      case "map" -> Filters::map;
      case "select" -> (v, a) -> filter(v, a, null, true);
      case "reject" -> (v, a) -> filter(v, a, null, false);
      case "selectattr" -> (v, a) -> filter(v, a.after(1), a.require(0), true);
      case "rejectattr" -> (v, a) -> filter(v, a.after(1), a.require(0), false);
      case "int" -> (v, a) -> toInt(v, a.get(0, "default", 0L));
      case "float" -> (v, a) -> toFloat(v, a.get(0, "default", 0.0));
      case "abs" ->
          (v, a) -> v instanceof Double d ? (Object) Math.abs(d) : Math.abs(Values.toLong(v));
      case "tojson" -> (v, a) -> Json.of(v, indentation(a.get(1, "indent", null)));
      default -> null;
    };
  }

  static String join(List<Object> elements, String separator) {
    return elements.stream().map(Values::toText).collect(Collectors.joining(separator));
  }

  private static List<Object> select(Object value, Arguments arguments) {
    Object attribute = arguments.get(1, "attribute", null);
    return attribute == null
        ? Values.elements(value)
        : Values.elements(value).stream().map(e -> attribute(e, attribute)).toList();
  }

  /** The value at a dotted path of attributes. */
  private static Object attribute(Object value, Object path) {
    Object found = value;
    for (Object name : path instanceof String s ? Text.split(s, ".", -1) : List.of(path)) {
      found = Expression.attribute(found, name);
    }
    return found;
  }

  private static Object map(Object value, Arguments arguments) {
    List<Object> mapped = new ArrayList<>();
    if (arguments.named().containsKey("attribute")) {
      Object otherwise = arguments.named().get("default");
      for (Object element : Values.elements(value)) {
        Object found = attribute(element, arguments.named().get("attribute"));
        mapped.add(
            found instanceof Undefined && arguments.named().containsKey("default")
                ? otherwise
                : found);
      }
      return mapped;
    }
    String name = Values.requireText(arguments.require(0));
    Filter filter = named(name);
    if (filter == null) {
      throw new TemplateException("there is no filter " + Text.quote(name));
    }
    for (Object element : Values.elements(value)) {
      mapped.add(filter.apply(element, arguments.after(1)));
    }
    return mapped;
  }

  private static Object filter(Object value, Arguments arguments, Object path, boolean keep) {
    Tests.Test test = (v, a) -> Values.isTrue(v);
    Arguments rest = arguments;
    if (!arguments.positional().isEmpty()) {
      String name = Values.requireText(arguments.require(0));
      test = Tests.named(name);
      rest = arguments.after(1);
      if (test == null) {
        throw new TemplateException("there is no test " + Text.quote(name));
      }
    }
    List<Object> kept = new ArrayList<>();
    for (Object element : Values.elements(value)) {
      Object tested = path == null ? element : attribute(element, path);
      if (test.holds(tested, rest) == keep) {
        kept.add(element);
      }
    }
    return kept;
  }

  private static List<Object> sort(List<Object> elements, Arguments arguments) {
    Object path = arguments.get(2, "attribute", null);
    boolean foldsCase = !Values.isTrue(arguments.get(1, "case_sensitive", false));
    Comparator<Object> order =
        Comparator.comparing(
            e -> {
              Object key = path == null ? e : attribute(e, path);
              return foldsCase && key instanceof String s ? s.toLowerCase(Locale.ROOT) : key;
            },
            ORDER);
    List<Object> sorted = new ArrayList<>(elements);
    sorted.sort(Values.isTrue(arguments.get(0, "reverse", false)) ? order.reversed() : order);
    return sorted;
  }

  private static List<Object> unique(List<Object> elements) {
    List<Object> unique = new ArrayList<>();
    for (Object element : elements) {
      if (unique.stream().noneMatch(u -> Values.equal(u, element))) {
        unique.add(element);
      }
    }
    return unique;
  }

  private static String indent(Object value, Arguments arguments) {
    String margin = indentation(arguments.get(0, "width", 4L));
    boolean first = Values.isTrue(arguments.get(1, "first", false));
    boolean blank = Values.isTrue(arguments.get(2, "blank", false));
    List<Object> lines = Text.split(Values.toText(value), "\n", -1);
    for (int i = 0; i < lines.size(); i++) {
      if (i == 0 ? first : blank || !lines.get(i).equals("")) {
        lines.set(i, margin + lines.get(i));
      }
    }
    return join(lines, "\n");
  }

  /** An indentation given as text or as a number of spaces. */
  private static String indentation(Object width) {
    return width == null || width instanceof String
        ? (String) width
        : " ".repeat(Math.clamp(Values.toLong(width), 0, 100));
  }

  private static String escape(String text) {
    return text.replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        .replace("\"", "&#34;")
        .replace("'", "&#39;");
  }

  private static Object toInt(Object value, Object otherwise) {
    if (value instanceof Long) {
      return value;
    }
    try {
      return value instanceof String s
          ? (Object) Long.parseLong(s.strip())
          : (Object) (long) Values.toDouble(value);
    } catch (NumberFormatException | TemplateException e) {
      return toFloat(value, null) instanceof Double d ? (Object) d.longValue() : otherwise;
    }
  }

  private static Object toFloat(Object value, Object otherwise) {
    if (Values.isNumber(value)) {
      return Values.toDouble(value);
    }
    try {
      return value instanceof String s ? (Object) Double.parseDouble(s.strip()) : otherwise;
    } catch (NumberFormatException e) {
      return otherwise;
    }
  }
}
