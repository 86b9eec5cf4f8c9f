package dev.sylvester.runner.text.jinja;

/** What a template can call: functions, macros, methods. */
@FunctionalInterface
interface Callable {
  Object call(Arguments arguments);
}
