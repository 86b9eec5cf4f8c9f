package dev.sylvester.runner.text.jinja;

import java.util.HashMap;
import java.util.Map;

/** The variables that a part of a template sees; those it sets are gone with it. */
final class Scope {
  private final Scope outer;
  private final Map<String, Object> variables;
  final Renderer renderer;

  /** The outermost scope. */
  Scope(Renderer renderer, Map<String, Object> variables) {
    this.outer = null;
    this.renderer = renderer;
    this.variables = variables;
  }

  private Scope(Scope outer) {
    this.outer = outer;
    this.renderer = outer.renderer;
    this.variables = new HashMap<>();
  }

  Scope inner() {
    return new Scope(this);
  }

  Object get(String name) {
    for (Scope scope = this; scope != null; scope = scope.outer) {
      Object value = scope.variables.get(name);
      if (value != null || scope.variables.containsKey(name)) {
        return value;
      }
    }
    return Undefined.name(name);
  }

  void set(String name, Object value) {
    variables.put(name, value);
  }
}
