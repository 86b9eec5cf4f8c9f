package dev.sylvester.runner.text.jinja;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** A node that writes or changes something. */
sealed interface Statement {
  /** How a statement ended. */
  enum Outcome {
    NEXT,
    CONTINUE,
    BREAK
  }

  Outcome render(Scope scope);

  /** Statements one after the other. */
  record Block(List<Statement> statements) implements Statement {
    @Override
    public Outcome render(Scope scope) {
      for (Statement statement : statements) {
        Outcome outcome = statement.render(scope);
        if (outcome != Outcome.NEXT) {
          return outcome;
        }
      }
      return Outcome.NEXT;
    }
  }

  /** Text as it is. */
  record Data(String text) implements Statement {
    @Override
    public Outcome render(Scope scope) {
      scope.renderer.write(text);
      return Outcome.NEXT;
    }
  }

  /** {@code {{ expression }}}. */
  record Print(int line, Expression expression) implements Statement {
    @Override
    public Outcome render(Scope scope) {
      scope.renderer.line = line;
      scope.renderer.write(Values.toText(expression.evaluate(scope)));
      return Outcome.NEXT;
    }
  }

  /** {@code if}; {@code elif} is an If within {@code otherwise}. */
  record If(int line, Expression condition, Statement then, Statement otherwise)
      implements Statement {
    @Override
    public Outcome render(Scope scope) {
      scope.renderer.line = line;
      return (Values.isTrue(condition.evaluate(scope)) ? then : otherwise).render(scope);
    }
  }

  /** {@code for target in iterable if condition}. */
  record For(
      int line,
      Target target,
      Expression iterable,
      Expression condition,
      Statement body,
      Statement otherwise)
      implements Statement {
    @Override
    public Outcome render(Scope scope) {
      scope.renderer.line = line;
      List<Object> elements = selected(scope);
      for (int i = 0; i < elements.size(); i++) {
        scope.renderer.step();
        Scope inner = scope.inner();
        inner.set("loop", loop(elements, i));
        target.assign(inner, elements.get(i));
        if (body.render(inner) == Outcome.BREAK) {
          break;
        }
      }
      return elements.isEmpty() ? otherwise.render(scope.inner()) : Outcome.NEXT;
    }

    private List<Object> selected(Scope scope) {
      List<Object> selected = new ArrayList<>();
      for (Object element : Values.elements(iterable.evaluate(scope))) {
        scope.renderer.step();
        Scope inner = scope.inner();
        target.assign(inner, element);
        if (Values.isTrue(condition.evaluate(inner))) {
          selected.add(element);
        }
      }
      return selected;
    }

    private static Namespace loop(List<Object> elements, int i) {
      int size = elements.size();
      Map<String, Object> loop = new HashMap<>();
      loop.put("index", i + 1L);
      loop.put("index0", (long) i);
      loop.put("revindex", (long) size - i);
      loop.put("revindex0", size - i - 1L);
      loop.put("first", i == 0);
      loop.put("last", i == size - 1);
      loop.put("length", (long) size);
      loop.put("previtem", i > 0 ? elements.get(i - 1) : Undefined.name("previtem"));
      loop.put("nextitem", i < size - 1 ? elements.get(i + 1) : Undefined.name("nextitem"));
      Callable cycle = a -> a.positional().get(i % a.positional().size());
      loop.put("cycle", cycle);
      return new Namespace(loop);
    }
  }

  /** {@code set target = value}. */
  record Set(int line, Target target, Expression value) implements Statement {
    @Override
    public Outcome render(Scope scope) {
      scope.renderer.line = line;
      target.assign(scope, value.evaluate(scope));
      return Outcome.NEXT;
    }
  }

  /** {@code set target} ... {@code endset}. */
  record SetBlock(Target target, Statement body) implements Statement {
    @Override
    public Outcome render(Scope scope) {
      target.assign(scope, scope.renderer.capture(() -> body.render(scope.inner())));
      return Outcome.NEXT;
    }
  }

  /** {@code filter name} ... {@code endfilter}. */
  record FilterBlock(
      int line, Filters.Filter filter, Expression.ArgumentList arguments, Statement body)
      implements Statement {
    @Override
    public Outcome render(Scope scope) {
      String text = scope.renderer.capture(() -> body.render(scope.inner()));
      scope.renderer.line = line;
      scope.renderer.write(Values.toText(filter.apply(text, arguments.evaluate(scope))));
      return Outcome.NEXT;
    }
  }

  /** {@code macro name(parameters)}; a parameter without a default has none here. */
  record Macro(String name, Map<String, Expression> parameters, Statement body)
      implements Statement {
    @Override
    public Outcome render(Scope scope) {
      Callable macro = arguments -> call(scope, arguments);
      scope.set(name, macro);
      return Outcome.NEXT;
    }

    private Object call(Scope defined, Arguments arguments) {
      Scope scope = defined.inner();
      int position = 0;
      for (Map.Entry<String, Expression> parameter : parameters.entrySet()) {
        String parameterName = parameter.getKey();
        Object missing = Undefined.name(parameterName);
        Object value = arguments.get(position++, parameterName, missing);
        boolean given = value != missing;
        scope.set(
            parameterName,
            given || parameter.getValue() == null ? value : parameter.getValue().evaluate(scope));
      }
      if (arguments.positional().size() > parameters.size()) {
        throw new TemplateException("macro " + Text.quote(name) + " got too many arguments");
      }
      int line = scope.renderer.line;
      String text = scope.renderer.capture(() -> body.render(scope));
      scope.renderer.line = line;
      return text;
    }
  }

  /** {@code break} or {@code continue}. */
  record Jump(Outcome outcome) implements Statement {
    @Override
    public Outcome render(Scope scope) {
      return outcome;
    }
  }

  /** What is assigned to: names, or an attribute of a namespace. */
  record Target(List<String> names, String attribute) {
    void assign(Scope scope, Object value) {
      if (attribute != null) {
        if (!(scope.get(names.getFirst()) instanceof Namespace namespace)) {
          throw new TemplateException("only a namespace has attributes to set");
        }
        namespace.attributes().put(attribute, value);
      } else if (names.size() == 1) {
        scope.set(names.getFirst(), value);
      } else {
        List<Object> values = Values.elements(value);
        if (values.size() != names.size()) {
          throw new TemplateException(
              "cannot unpack " + values.size() + " values into " + names.size());
        }
        for (int i = 0; i < names.size(); i++) {
          scope.set(names.get(i), values.get(i));
        }
      }
    }
  }
}
