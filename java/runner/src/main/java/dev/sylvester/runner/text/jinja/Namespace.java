package dev.sylvester.runner.text.jinja;

import java.util.LinkedHashMap;
import java.util.Map;

/** An object with attributes: what {@code namespace()} makes, and {@code loop}. */
record Namespace(Map<String, Object> attributes) {
  static Namespace of(Arguments arguments) {
    Map<String, Object> attributes = new LinkedHashMap<>();
    for (Object dict : arguments.positional()) {
      if (!(dict instanceof Map<?, ?> map)) {
        throw new TemplateException("namespace takes dicts and named values");
      }
      map.forEach((name, value) -> attributes.put(Values.toText(name), value));
    }
    attributes.putAll(arguments.named());
    return new Namespace(attributes);
  }

  Object get(String name) {
    return attributes.containsKey(name) ? attributes.get(name) : Undefined.attribute(this, name);
  }
}
