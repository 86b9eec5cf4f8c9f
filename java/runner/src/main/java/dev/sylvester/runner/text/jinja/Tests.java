package dev.sylvester.runner.text.jinja;

import java.util.List;
import java.util.Locale;
import java.util.Map;

/** Jinja's tests: {@code value is name}. */
final class Tests {
  /** A test of a value. */
  interface Test {
    boolean holds(Object value, Arguments arguments);
  }

  private Tests() {}

  /** The test of this name, or null. */
  static Test named(String name) {
    return switch (name) {
      case "defined" -> (v, a) -> !(v instanceof Undefined);
      case "undefined" -> (v, a) -> v instanceof Undefined;
      case "none" -> (v, a) -> v == null;
      case "true" -> (v, a) -> Boolean.TRUE.equals(v);
      case "false" -> (v, a) -> Boolean.FALSE.equals(v);
      case "boolean" -> (v, a) -> v instanceof Boolean;
      case "integer" -> (v, a) -> v instanceof Long;
      case "float" -> (v, a) -> v instanceof Double;
      case "number" -> (v, a) -> Values.isNumber(v);
      case "string" -> (v, a) -> v instanceof String;
      case "mapping" -> (v, a) -> v instanceof Map;
      case "sequence" -> (v, a) -> v instanceof String || v instanceof List || v instanceof Map;
      case "iterable" ->
          (v, a) ->
              v instanceof String
                  || v instanceof List
                  || v instanceof Map
                  || v instanceof Undefined;
      case "callable" -> (v, a) -> v instanceof Callable;
      case "odd" -> (v, a) -> Math.floorMod(Values.toLong(v), 2) == 1;
      case "even" -> (v, a) -> Math.floorMod(Values.toLong(v), 2) == 0;
      case "divisibleby" ->
          (v, a) -> Long.valueOf(0).equals(Arithmetic.apply("%", v, a.require(0)));
      case "in" -> (v, a) -> Values.contains(a.require(0), v);
      case "sameas" ->
          (v, a) ->
              v instanceof List || v instanceof Map
                  ? v == a.require(0)
                  : Values.typeName(v).equals(Values.typeName(a.require(0)))
                      && Values.equal(v, a.require(0));
      case "upper" -> (v, a) -> isUpper(Values.toText(v));
      case "lower" -> (v, a) -> isLower(Values.toText(v));
      case "==", "eq", "equalto" -> (v, a) -> Values.equal(v, a.require(0));
      case "!=", "ne" -> (v, a) -> !Values.equal(v, a.require(0));
      case "<", "lt", "lessthan" -> (v, a) -> Values.compare(v, a.require(0)) < 0;
      case "<=", "le" -> (v, a) -> Values.compare(v, a.require(0)) <= 0;
      case ">", "gt", "greaterthan" -> (v, a) -> Values.compare(v, a.require(0)) > 0;
      case ">=", "ge" -> (v, a) -> Values.compare(v, a.require(0)) >= 0;
      default -> null;
    };
  }

  /** Python's {@code isupper}. */
  static boolean isUpper(String text) {
    return !text.equals(text.toLowerCase(Locale.ROOT))
        && text.equals(text.toUpperCase(Locale.ROOT));
  }

  /** Python's {@code islower}. */
  static boolean isLower(String text) {
    return !text.equals(text.toUpperCase(Locale.ROOT))
        && text.equals(text.toLowerCase(Locale.ROOT));
  }
}
