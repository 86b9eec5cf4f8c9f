package dev.sylvester.runner.text.jinja;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.BiPredicate;
import java.util.function.IntPredicate;

/** The methods of Python's strings, dicts and lists that change nothing. */
final class Methods {
  private Methods() {}

  /** The method of this name, or null. */
  static Callable of(Object self, String name) {
    return switch (self) {
      case String text -> ofText(text, name);
      case Map<?, ?> map -> ofMap(map, name);
      case List<?> list -> ofList(list, name);
      case null, default -> null;
    };
  }

  private static Callable ofText(String s, String name) {
    return switch (name) {
      case "strip" -> a -> Text.strip(s, text(a, 0, "chars"), true, true);
      case "lstrip" -> a -> Text.strip(s, text(a, 0, "chars"), true, false);
      case "rstrip" -> a -> Text.strip(s, text(a, 0, "chars"), false, true);
      case "upper" -> a -> s.toUpperCase(Locale.ROOT);
      case "lower" -> a -> s.toLowerCase(Locale.ROOT);
      case "title" -> a -> Text.title(s);
      case "capitalize" -> a -> Text.capitalize(s);
      case "startswith" -> a -> any(a, s, String::startsWith);
      case "endswith" -> a -> any(a, s, String::endsWith);
      case "removeprefix" -> a -> removePrefix(s, Values.requireText(a.require(0)));
      case "removesuffix" -> a -> removeSuffix(s, Values.requireText(a.require(0)));
      case "split" ->
          a -> Text.split(s, text(a, 0, "sep"), Values.toLong(a.get(1, "maxsplit", -1L)));
      case "splitlines" -> a -> s.isEmpty() ? List.of() : List.of((Object[]) s.split("\\R"));
      case "replace" -> a -> Text.replace(s, a);
      case "find" -> a -> find(s, Values.requireText(a.require(0)));
      case "count" -> a -> Text.split(s, Values.requireText(a.require(0)), -1).size() - 1L;
      case "join" -> a -> Filters.join(Values.elements(a.require(0)), s);
      case "isdigit" -> a -> all(s, Character::isDigit);
      case "isalpha" -> a -> all(s, Character::isLetter);
      case "isalnum" -> a -> all(s, Character::isLetterOrDigit);
      case "isspace" -> a -> all(s, Text::isSpace);
      case "isupper" -> a -> Tests.isUpper(s);
      case "islower" -> a -> Tests.isLower(s);
      default -> null;
    };
  }

  private static Callable ofMap(Map<?, ?> map, String name) {
    return switch (name) {
      case "items" -> a -> items(map);
      case "keys" -> a -> new ArrayList<Object>(map.keySet());
      case "values" -> a -> new ArrayList<Object>(map.values());
      case "get" ->
          a -> map.containsKey(a.require(0)) ? map.get(a.require(0)) : a.get(1, "default", null);
      default -> null;
    };
  }

  private static Callable ofList(List<?> list, String name) {
    return switch (name) {
      case "count" -> a -> list.stream().filter(e -> Values.equal(e, a.require(0))).count();
      case "index" -> a -> index(list, a.require(0));
      default -> null;
    };
  }

  static List<Object> items(Map<?, ?> map) {
    List<Object> items = new ArrayList<>();
    map.forEach(
        (key, value) -> {
          List<Object> item = new ArrayList<>();
          item.add(key);
          item.add(value);
          items.add(item);
        });
    return items;
  }

  /** A string or None. */
  static String text(Arguments arguments, int position, String name) {
    Object value = arguments.get(position, name, null);
    return value == null ? null : Values.requireText(value);
  }

  private static boolean any(
      Arguments arguments, String text, BiPredicate<String, String> predicate) {
    Object affix = arguments.require(0);
    return affix instanceof List<?> affixes
        ? affixes.stream().anyMatch(a -> predicate.test(text, Values.requireText(a)))
        : predicate.test(text, Values.requireText(affix));
  }

  private static String removePrefix(String text, String prefix) {
    return text.startsWith(prefix) ? text.substring(prefix.length()) : text;
  }

  private static String removeSuffix(String text, String suffix) {
    return text.endsWith(suffix) ? text.substring(0, text.length() - suffix.length()) : text;
  }

  private static long find(String text, String part) {
    int at = text.indexOf(part);
    return at < 0 ? -1 : text.codePointCount(0, at);
  }

  private static long index(List<?> list, Object element) {
    for (int i = 0; i < list.size(); i++) {
      if (Values.equal(list.get(i), element)) {
        return i;
      }
    }
    throw new TemplateException(Values.repr(element) + " is not in the list");
  }

  private static boolean all(String text, IntPredicate predicate) {
    return !text.isEmpty() && text.codePoints().allMatch(predicate);
  }
}
