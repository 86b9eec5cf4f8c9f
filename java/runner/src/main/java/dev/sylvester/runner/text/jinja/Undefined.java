package dev.sylvester.runner.text.jinja;

/**
 * A value that is not there. It prints as nothing, is false and has no elements; any other use is
 * an error.
 *
 * @param problem what to say then
 */
record Undefined(String problem) {
  static Undefined name(String name) {
    return new Undefined("'" + name + "' is undefined");
  }

  static Undefined attribute(Object of, Object name) {
    return new Undefined(Values.typeName(of) + " has no attribute '" + Values.toText(name) + "'");
  }
}
