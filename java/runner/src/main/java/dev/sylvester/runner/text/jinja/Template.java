package dev.sylvester.runner.text.jinja;

import java.time.Clock;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A parsed template; any number of threads may render it. */
public final class Template {
  private static final int MOST_RANGE = 100_000;

  private final Statement root;

  private Template(Statement root) {
    this.root = root;
  }

  /**
   * Parses Jinja source.
   *
   * @throws TemplateException naming the line
   */
  public static Template parse(String source) {
    try {
      return new Template(Parser.parse(source));
    } catch (StackOverflowError e) {
      throw new TemplateException("the template is nested too deeply");
    }
  }

  /**
   * Renders the template.
   *
   * @param variables Python values as this package knows them
   * @param clock what {@code strftime_now} reads
   * @throws TemplateException naming the line
   */
  public String render(Map<String, ?> variables, Clock clock) {
    Renderer renderer = new Renderer();
    try {
      Scope globals = new Scope(renderer, globals(clock));
      Scope scope = globals.inner();
      variables.forEach(scope::set);
      root.render(scope);
      return renderer.text();
    } catch (TemplateException e) {
      throw new TemplateException(renderer.line, e.getMessage());
    } catch (StackOverflowError e) {
      throw new TemplateException(renderer.line, "calls are nested too deeply");
    }
  }

  private static Map<String, Object> globals(Clock clock) {
    Map<String, Callable> functions = new HashMap<>();
    functions.put("namespace", Namespace::of);
    functions.put("dict", arguments -> new LinkedHashMap<Object, Object>(arguments.named()));
    functions.put("range", Template::range);
    functions.put(
        "raise_exception",
        arguments -> {
          throw new TemplateException(Values.toText(arguments.require(0)));
        });
    functions.put(
        "strftime_now", arguments -> Dates.format(Values.requireText(arguments.require(0)), clock));
    return new HashMap<>(functions);
  }

  private static Object range(Arguments arguments) {
    List<Object> given = arguments.positional();
    long start = given.size() > 1 ? Values.toLong(given.get(0)) : 0;
    long stop = Values.toLong(given.size() > 1 ? given.get(1) : arguments.require(0));
    long step = given.size() > 2 ? Values.toLong(given.get(2)) : 1;
    if (step == 0) {
      throw new TemplateException("a range has step 0");
    }
    List<Object> range = new ArrayList<>();
    for (long n = start; step > 0 ? n < stop : n > stop; n += step) {
      if (range.size() == MOST_RANGE) {
        throw new TemplateException("a range is too long");
      }
      range.add(n);
    }
    return range;
  }
}
