package dev.sylvester.runner.text.jinja;

import java.util.List;
import java.util.Map;

/** The arguments of a call, filter or test. */
record Arguments(List<Object> positional, Map<String, Object> named) {
  static final Arguments NONE = new Arguments(List.of(), Map.of());

  /** The argument at a position or of a name, or what stands for it when it was not given. */
  Object get(int position, String name, Object otherwise) {
    if (position < positional.size()) {
      return positional.get(position);
    }
    return named.containsKey(name) ? named.get(name) : otherwise;
  }

  /** An argument that has to be given. */
  Object require(int position) {
    if (position >= positional.size()) {
      throw new TemplateException("an argument is missing");
    }
    return positional.get(position);
  }

  /** The arguments after the first {@code count}. */
  Arguments after(int count) {
    return new Arguments(positional.subList(count, positional.size()), named);
  }
}
