package dev.sylvester.runner.text.jinja;

import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Collectors;

/** What Python does with values: truth, text, equality, arithmetic, slices. */
final class Values {
  // What a hostile template may build.
  private static final int MOST_TEXT = 1 << 24;

  private Values() {}

  static boolean isTrue(Object value) {
    return switch (value) {
      case null -> false;
      case Boolean b -> b;
      case Long n -> n != 0;
      case Double d -> d != 0;
      case String s -> !s.isEmpty();
      case List<?> list -> !list.isEmpty();
      case Map<?, ?> map -> !map.isEmpty();
      case Undefined u -> false;
      default -> true;
    };
  }

  static String typeName(Object value) {
    return switch (value) {
      case null -> "None";
      case Boolean b -> "'bool object'";
      case Long n -> "'int object'";
      case Double d -> "'float object'";
      case String s -> "'str object'";
      case List<?> list -> "'list object'";
      case Map<?, ?> map -> "'dict object'";
      default -> "'object'";
    };
  }

  /** Refuses a value that is not there. */
  static Object require(Object value) {
    if (value instanceof Undefined undefined) {
      throw new TemplateException(undefined.problem());
    }
    return value;
  }

  /** Python's {@code str}. */
  static String toText(Object value) {
    return switch (value) {
      case String s -> s;
      case Undefined u -> "";
      case null, default -> repr(value);
    };
  }

  /** Python's {@code repr}. */
  static String repr(Object value) {
    return switch (value) {
      case null -> "None";
      case Boolean b -> b ? "True" : "False";
      case Long n -> n.toString();
      case Double d -> toText(d.doubleValue());
      case String s -> Text.quote(s);
      case List<?> list ->
          list.stream().map(Values::repr).collect(Collectors.joining(", ", "[", "]"));
      case Map<?, ?> map ->
          map.entrySet().stream()
              .map(e -> repr(e.getKey()) + ": " + repr(e.getValue()))
              .collect(Collectors.joining(", ", "{", "}"));
      case Undefined u -> "Undefined";
      default -> throw new TemplateException("a function cannot be printed");
    };
  }

  private static String toText(double d) {
    if (Double.isNaN(d) || Double.isInfinite(d)) {
      return Double.isNaN(d) ? "nan" : d > 0 ? "inf" : "-inf";
    }
    // Java's digits are the shortest, as Python's are; only the notation differs.
    String java = Double.toString(d);
    double size = Math.abs(d);
    if (d == 0 || (size >= 1e-4 && size < 1e16)) {
      if (java.indexOf('E') < 0) {
        return java;
      }
      String plain = new BigDecimal(java).stripTrailingZeros().toPlainString();
      return plain.indexOf('.') < 0 ? plain + ".0" : plain;
    }
    int e = java.indexOf('E');
    String digits = java.substring(0, e).replaceFirst("\\.0$", "");
    int exponent = Integer.parseInt(java.substring(e + 1));
    return "%se%s%02d".formatted(digits, exponent < 0 ? "-" : "+", Math.abs(exponent));
  }

  static boolean equal(Object a, Object b) {
    if (a instanceof Undefined || b instanceof Undefined) {
      return a instanceof Undefined && b instanceof Undefined;
    }
    if (isNumber(a) && isNumber(b)) {
      return isFloat(a) || isFloat(b) ? toDouble(a) == toDouble(b) : toLong(a) == toLong(b);
    }
    if (a instanceof List<?> x && b instanceof List<?> y) {
      if (x.size() != y.size()) {
        return false;
      }
      for (int i = 0; i < x.size(); i++) {
        if (!equal(x.get(i), y.get(i))) {
          return false;
        }
      }
      return true;
    }
    if (a instanceof Map<?, ?> x && b instanceof Map<?, ?> y) {
      return x.size() == y.size()
          && x.entrySet().stream()
              .allMatch(e -> y.containsKey(e.getKey()) && equal(e.getValue(), y.get(e.getKey())));
    }
    return Objects.equals(a, b);
  }

  static int compare(Object a, Object b) {
    require(a);
    require(b);
    if (isNumber(a) && isNumber(b)) {
      return isFloat(a) || isFloat(b)
          ? Double.compare(toDouble(a), toDouble(b))
          : Long.compare(toLong(a), toLong(b));
    }
    if (a instanceof String x && b instanceof String y) {
      int at = 0;
      while (at < Math.min(x.length(), y.length()) && x.charAt(at) == y.charAt(at)) {
        at++;
      }
      // By characters, not by halves of surrogate pairs.
      return at < x.length() && at < y.length()
          ? Integer.compare(x.codePointAt(at), y.codePointAt(at))
          : Integer.compare(x.length(), y.length());
    }
    throw new TemplateException("cannot compare " + typeName(a) + " with " + typeName(b));
  }

  static boolean contains(Object container, Object element) {
    return switch (require(container)) {
      case String s when element instanceof String part -> s.contains(part);
      case List<?> list -> list.stream().anyMatch(e -> equal(e, element));
      case Map<?, ?> map -> map.containsKey(element);
      case null, default -> throw new TemplateException("cannot look into " + typeName(container));
    };
  }

  static long length(Object value) {
    return switch (value) {
      case String s -> Text.length(s);
      case List<?> list -> list.size();
      case Map<?, ?> map -> map.size();
      case Undefined u -> 0;
      case null, default -> throw new TemplateException(typeName(value) + " has no length");
    };
  }

  /** The elements of a list, the characters of a string, the keys of a map. */
  static List<Object> elements(Object value) {
    return switch (value) {
      case String s -> Text.characters(s);
      case List<?> list -> Collections.unmodifiableList(list);
      case Map<?, ?> map -> new ArrayList<>(map.keySet());
      case Undefined u -> List.of();
      case null, default -> throw new TemplateException(typeName(value) + " is not iterable");
    };
  }

  static Object add(Object a, Object b) {
    if (a instanceof String x && b instanceof String y) {
      return checked(x.length() + (long) y.length(), x + y);
    }
    if (a instanceof List<?> x && b instanceof List<?> y) {
      List<Object> both = new ArrayList<>(x);
      both.addAll(y);
      return both;
    }
    return Arithmetic.apply("+", a, b);
  }

  static Object multiply(Object a, Object b) {
    if (a instanceof String text && b instanceof Long count) {
      long times = Math.max(0, count);
      checkSize(times * text.length());
      return text.repeat((int) times);
    }
    return a instanceof Long && b instanceof String ? multiply(b, a) : Arithmetic.apply("*", a, b);
  }

  private static String checked(long size, String text) {
    checkSize(size);
    return text;
  }

  static void checkSize(long size) {
    if (size < 0 || size > MOST_TEXT) {
      throw new TemplateException("the text is too long");
    }
  }

  /** Python's {@code value[index]}; undefined if there is no such element. */
  static Object item(Object value, Object index) {
    require(value);
    if (value instanceof Map<?, ?> map) {
      return map.containsKey(index) ? map.get(index) : Undefined.attribute(value, index);
    }
    if (index instanceof Long at && (value instanceof List || value instanceof String)) {
      List<Object> elements = elements(value);
      long i = at < 0 ? at + elements.size() : at;
      if (i >= 0 && i < elements.size()) {
        return elements.get((int) i);
      }
    }
    return Undefined.attribute(value, index);
  }

  /** Python's {@code value[start:stop:step]}; null where a bound is not given. */
  static Object slice(Object value, Object start, Object stop, Object step) {
    if (!(require(value) instanceof String || value instanceof List)) {
      throw new TemplateException(typeName(value) + " cannot be sliced");
    }
    List<Object> elements = elements(value);
    long by = step == null ? 1 : toLong(step);
    if (by == 0) {
      throw new TemplateException("a slice has step 0");
    }
    long size = elements.size();
    long lowest = by > 0 ? 0 : -1;
    long from = start == null ? (by > 0 ? 0 : size - 1) : bound(toLong(start), size, lowest);
    long to = stop == null ? (by > 0 ? size : -1) : bound(toLong(stop), size, lowest);
    List<Object> slice = new ArrayList<>();
    for (long i = from; by > 0 ? i < to : i > to; i += by) {
      slice.add(elements.get((int) i));
    }
    return value instanceof String ? join(slice) : slice;
  }

  private static long bound(long at, long size, long lowest) {
    return Math.clamp(at < 0 ? at + size : at, lowest, size + lowest);
  }

  private static String join(List<Object> characters) {
    return characters.stream().map(Object::toString).collect(Collectors.joining());
  }

  static boolean isNumber(Object value) {
    return value instanceof Long || value instanceof Double || value instanceof Boolean;
  }

  static boolean isFloat(Object value) {
    return value instanceof Double;
  }

  static long toLong(Object value) {
    return switch (require(value)) {
      case Long n -> n;
      case Boolean b -> b ? 1 : 0;
      case null, default -> throw new TemplateException(typeName(value) + " is not an integer");
    };
  }

  static double toDouble(Object value) {
    return value instanceof Double d ? d : toLong(value);
  }

  static String requireText(Object value) {
    if (require(value) instanceof String text) {
      return text;
    }
    throw new TemplateException(typeName(value) + " is not a string");
  }
}
