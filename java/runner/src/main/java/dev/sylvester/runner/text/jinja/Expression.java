package dev.sylvester.runner.text.jinja;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A node that has a value. */
sealed interface Expression {
  Object evaluate(Scope scope);

  /** A value written in the template. */
  record Literal(Object value) implements Expression {
    @Override
    public Object evaluate(Scope scope) {
      return value;
    }
  }

  /** A variable. */
  record Name(String name) implements Expression {
    @Override
    public Object evaluate(Scope scope) {
      return scope.get(name);
    }
  }

  /** A list or tuple. */
  record ListOf(List<Expression> elements) implements Expression {
    @Override
    public Object evaluate(Scope scope) {
      List<Object> values = new ArrayList<>();
      elements.forEach(e -> values.add(e.evaluate(scope)));
      return values;
    }
  }

  /** A dict. */
  record DictOf(List<Expression> keys, List<Expression> values) implements Expression {
    @Override
    public Object evaluate(Scope scope) {
      Map<Object, Object> dict = new LinkedHashMap<>();
      for (int i = 0; i < keys.size(); i++) {
        dict.put(keys.get(i).evaluate(scope), values.get(i).evaluate(scope));
      }
      return dict;
    }
  }

  /** {@code then if condition else otherwise}. */
  record Choice(Expression condition, Expression then, Expression otherwise) implements Expression {
    @Override
    public Object evaluate(Scope scope) {
      return (Values.isTrue(condition.evaluate(scope)) ? then : otherwise).evaluate(scope);
    }
  }

  /** {@code and}. */
  record And(Expression left, Expression right) implements Expression {
    @Override
    public Object evaluate(Scope scope) {
      Object value = left.evaluate(scope);
      return Values.isTrue(value) ? right.evaluate(scope) : value;
    }
  }

  /** {@code or}. */
  record Or(Expression left, Expression right) implements Expression {
    @Override
    public Object evaluate(Scope scope) {
      Object value = left.evaluate(scope);
      return Values.isTrue(value) ? value : right.evaluate(scope);
    }
  }

  /** {@code not}. */
  record Not(Expression operand) implements Expression {
    @Override
    public Object evaluate(Scope scope) {
      return !Values.isTrue(operand.evaluate(scope));
    }
  }

  /** A sign. */
  record Negate(Expression operand) implements Expression {
    @Override
    public Object evaluate(Scope scope) {
      return Arithmetic.apply("*", -1L, operand.evaluate(scope));
    }
  }

  /** An arithmetic operator. */
  record Binary(String operator, Expression left, Expression right) implements Expression {
    @Override
    public Object evaluate(Scope scope) {
      Object a = Values.require(left.evaluate(scope));
      Object b = Values.require(right.evaluate(scope));
      return switch (operator) {
        case "+" -> Values.add(a, b);
        case "*" -> Values.multiply(a, b);
        default -> Arithmetic.apply(operator, a, b);
      };
    }
  }

  /** {@code a ~ b}: the texts of both. */
  record Concatenate(Expression left, Expression right) implements Expression {
    @Override
    public Object evaluate(Scope scope) {
      return Values.add(Values.toText(left.evaluate(scope)), Values.toText(right.evaluate(scope)));
    }
  }

  /** Comparisons in a row, each of which has to hold. */
  record Compare(Expression first, List<String> operators, List<Expression> others)
      implements Expression {
    @Override
    public Object evaluate(Scope scope) {
      Object left = first.evaluate(scope);
      for (int i = 0; i < operators.size(); i++) {
        Object right = others.get(i).evaluate(scope);
        if (!holds(operators.get(i), left, right)) {
          return false;
        }
        left = right;
      }
      return true;
    }

    private static boolean holds(String operator, Object a, Object b) {
      return switch (operator) {
        case "in" -> Values.contains(b, a);
        case "not in" -> !Values.contains(b, a);
        default ->
            Tests.named(operator).holds(a, new Arguments(Collections.singletonList(b), Map.of()));
      };
    }
  }

  /** {@code value.name}. */
  record Attribute(Expression of, String name) implements Expression {
    @Override
    public Object evaluate(Scope scope) {
      return attribute(of.evaluate(scope), name);
    }
  }

  /** {@code value[index]}. */
  record Item(Expression of, Expression index) implements Expression {
    @Override
    public Object evaluate(Scope scope) {
      Object value = of.evaluate(scope);
      Object at = index.evaluate(scope);
      Object item = Values.item(value, at);
      return item instanceof Undefined && at instanceof String ? attribute(value, at) : item;
    }
  }

  /** {@code value[start:stop:step]}; bounds that are not given are None. */
  record Slice(Expression of, Expression start, Expression stop, Expression step)
      implements Expression {
    @Override
    public Object evaluate(Scope scope) {
      return Values.slice(
          of.evaluate(scope), start.evaluate(scope), stop.evaluate(scope), step.evaluate(scope));
    }
  }

  /** The arguments of a call. */
  record ArgumentList(List<Expression> positional, Map<String, Expression> named) {
    static final ArgumentList NONE = new ArgumentList(List.of(), Map.of());

    Arguments evaluate(Scope scope) {
      List<Object> values = new ArrayList<>();
      positional.forEach(e -> values.add(e.evaluate(scope)));
      Map<String, Object> namedValues = new LinkedHashMap<>();
      named.forEach((name, e) -> namedValues.put(name, e.evaluate(scope)));
      return new Arguments(values, namedValues);
    }
  }

  /** A call. */
  record Call(Expression function, ArgumentList arguments) implements Expression {
    @Override
    public Object evaluate(Scope scope) {
      scope.renderer.step();
      if (Values.require(function.evaluate(scope)) instanceof Callable callable) {
        return callable.call(arguments.evaluate(scope));
      }
      throw new TemplateException("what is called is not a function");
    }
  }

  /** {@code value | name(arguments)}. */
  record Filtered(Expression value, Filters.Filter filter, ArgumentList arguments)
      implements Expression {
    @Override
    public Object evaluate(Scope scope) {
      return filter.apply(value.evaluate(scope), arguments.evaluate(scope));
    }
  }

  /** {@code value is name(arguments)}. */
  record Tested(Expression value, Tests.Test test, ArgumentList arguments) implements Expression {
    @Override
    public Object evaluate(Scope scope) {
      return test.holds(value.evaluate(scope), arguments.evaluate(scope));
    }
  }

  /** Jinja's {@code value.name}: an attribute or method first, then an element. */
  static Object attribute(Object value, Object name) {
    Values.require(value);
    if (value instanceof Namespace namespace) {
      return namespace.get(Values.toText(name));
    }
    Callable method = name instanceof String s ? Methods.of(value, s) : null;
    return method != null ? method : Values.item(value, name);
  }
}
