package dev.sylvester.runner.text.jinja;

import dev.sylvester.runner.text.jinja.Expression.ArgumentList;
import dev.sylvester.runner.text.jinja.Token.Kind;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;

/** Parses expressions, with Jinja's precedences. */
class ExpressionParser {
  private static final Expression NONE = new Expression.Literal(null);
  private static final Set<String> COMPARISONS = Set.of("==", "!=", "<", "<=", ">", ">=");
  private static final Set<Kind> ARGUMENT_KINDS =
      Set.of(Kind.NAME, Kind.STRING, Kind.INTEGER, Kind.FLOAT);

  private final List<Token> tokens;
  private int position;

  ExpressionParser(List<Token> tokens) {
    this.tokens = tokens;
  }

  final Token token() {
    return tokens.get(position);
  }

  final Token peek() {
    return tokens.get(Math.min(position + 1, tokens.size() - 1));
  }

  final Token next() {
    Token token = token();
    position = Math.min(position + 1, tokens.size() - 1);
    return token;
  }

  final TemplateException error(String problem) {
    return new TemplateException(token().line(), problem);
  }

  final Token expect(Kind kind) {
    if (token().kind() != kind) {
      throw unexpected(kind.name().toLowerCase(Locale.ROOT).replace('_', ' '));
    }
    return next();
  }

  final void expectOperator(String operator) {
    if (!acceptOperator(operator)) {
      throw unexpected(Text.quote(operator));
    }
  }

  final void expectName(String name) {
    if (!acceptName(name)) {
      throw unexpected(Text.quote(name));
    }
  }

  final boolean acceptOperator(String operator) {
    return accept(token().isOperator(operator));
  }

  final boolean acceptName(String name) {
    return accept(token().isName(name));
  }

  private boolean accept(boolean accepted) {
    if (accepted) {
      next();
    }
    return accepted;
  }

  private TemplateException unexpected(String expected) {
    Token token = token();
    String found = token.text().isEmpty() ? "the end" : Text.quote(token.text());
    return error("found " + found + ", expected " + expected);
  }

  /** An expression, or several with commas between: a tuple. */
  final Expression tuple() {
    return tuple(expression());
  }

  /** As {@link #tuple}, leaving an {@code if} alone. */
  final Expression tupleWithoutChoice() {
    return tuple(or());
  }

  private Expression tuple(Expression first) {
    if (!token().isOperator(",")) {
      return first;
    }
    List<Expression> elements = new ArrayList<>(List.of(first));
    while (acceptOperator(",") && beginsExpression()) {
      elements.add(expression());
    }
    return new Expression.ListOf(elements);
  }

  private boolean beginsExpression() {
    return switch (token().kind()) {
      case VARIABLE_END, BLOCK_END -> false;
      default -> !token().isOperator(")");
    };
  }

  final Expression expression() {
    Expression value = or();
    while (acceptName("if")) {
      Expression condition = or();
      Expression otherwise =
          acceptName("else")
              ? expression()
              : new Expression.Literal(new Undefined("the condition does not hold"));
      value = new Expression.Choice(condition, value, otherwise);
    }
    return value;
  }

  private Expression or() {
    Expression left = and();
    while (acceptName("or")) {
      left = new Expression.Or(left, and());
    }
    return left;
  }

  private Expression and() {
    Expression left = not();
    while (acceptName("and")) {
      left = new Expression.And(left, not());
    }
    return left;
  }

  private Expression not() {
    return acceptName("not") ? new Expression.Not(not()) : comparison();
  }

  private Expression comparison() {
    Expression first = sum();
    List<String> operators = new ArrayList<>();
    List<Expression> others = new ArrayList<>();
    while (true) {
      if (token().kind() == Kind.OPERATOR && COMPARISONS.contains(token().text())) {
        operators.add(next().text());
      } else if (acceptName("in")) {
        operators.add("in");
      } else if (token().isName("not") && peek().isName("in")) {
        next();
        next();
        operators.add("not in");
      } else {
        break;
      }
      others.add(sum());
    }
    return operators.isEmpty() ? first : new Expression.Compare(first, operators, others);
  }

  private Expression sum() {
    Expression left = concatenation();
    while (token().isOperator("+") || token().isOperator("-")) {
      left = new Expression.Binary(next().text(), left, concatenation());
    }
    return left;
  }

  private Expression concatenation() {
    Expression left = product();
    while (acceptOperator("~")) {
      left = new Expression.Concatenate(left, product());
    }
    return left;
  }

  private Expression product() {
    Expression left = power();
    while (token().kind() == Kind.OPERATOR
        && Set.of("*", "/", "//", "%").contains(token().text())) {
      left = new Expression.Binary(next().text(), left, power());
    }
    return left;
  }

  private Expression power() {
    Expression left = unary(true);
    while (acceptOperator("**")) {
      left = new Expression.Binary("**", left, unary(true));
    }
    return left;
  }

  private Expression unary(boolean filtered) {
    Expression value;
    if (acceptOperator("-")) {
      value = new Expression.Negate(unary(false));
    } else if (acceptOperator("+")) {
      value = unary(false);
    } else {
      value = primary();
    }
    value = postfix(value);
    return filtered ? filtersAndTests(value) : value;
  }

  private Expression primary() {
    Token token = next();
    switch (token.kind()) {
      case NAME -> {
        return switch (token.text()) {
          case "true", "True" -> new Expression.Literal(true);
          case "false", "False" -> new Expression.Literal(false);
          case "none", "None" -> NONE;
          default -> new Expression.Name(token.text());
        };
      }
      case STRING -> {
        StringBuilder text = new StringBuilder(token.text());
        while (token().kind() == Kind.STRING) {
          text.append(next().text());
        }
        return new Expression.Literal(text.toString());
      }
      case INTEGER, FLOAT -> {
        return new Expression.Literal(number(token));
      }
      case OPERATOR -> {
        switch (token.text()) {
          case "(" -> {
            return parenthesised();
          }
          case "[" -> {
            return new Expression.ListOf(elements("]"));
          }
          case "{" -> {
            return dict();
          }
          default -> {}
        }
      }
      default -> {}
    }
    position--;
    throw unexpected("an expression");
  }

  private static Object number(Token token) {
    String digits = token.text().replace("_", "");
    try {
      return token.kind() == Kind.INTEGER
          ? (Object) Long.parseLong(digits)
          : (Object) Double.parseDouble(digits);
    } catch (NumberFormatException e) {
      throw new TemplateException(token.line(), "number " + digits + " is too large");
    }
  }

  private Expression parenthesised() {
    if (acceptOperator(")")) {
      return new Expression.ListOf(List.of());
    }
    Expression value = tuple();
    expectOperator(")");
    return value;
  }

  private List<Expression> elements(String end) {
    List<Expression> elements = new ArrayList<>();
    while (!acceptOperator(end)) {
      elements.add(expression());
      if (!token().isOperator(end)) {
        expectOperator(",");
      }
    }
    return elements;
  }

  private Expression dict() {
    List<Expression> keys = new ArrayList<>();
    List<Expression> values = new ArrayList<>();
    while (!acceptOperator("}")) {
      keys.add(expression());
      expectOperator(":");
      values.add(expression());
      if (!token().isOperator("}")) {
        expectOperator(",");
      }
    }
    return new Expression.DictOf(keys, values);
  }

  private Expression postfix(Expression of) {
    Expression value = of;
    while (true) {
      if (acceptOperator(".")) {
        Token name = next();
        value =
            switch (name.kind()) {
              case NAME -> new Expression.Attribute(value, name.text());
              case INTEGER -> new Expression.Item(value, new Expression.Literal(number(name)));
              default -> throw new TemplateException(name.line(), "a name is missing after '.'");
            };
      } else if (acceptOperator("[")) {
        value = subscript(value);
      } else if (token().isOperator("(")) {
        value = new Expression.Call(value, arguments());
      } else {
        return value;
      }
    }
  }

  private Expression subscript(Expression of) {
    Expression start = token().isOperator(":") ? NONE : expression();
    if (acceptOperator("]")) {
      return new Expression.Item(of, start);
    }
    expectOperator(":");
    Expression stop = bound();
    Expression step = acceptOperator(":") ? bound() : NONE;
    expectOperator("]");
    return new Expression.Slice(of, start, stop, step);
  }

  private Expression bound() {
    return token().isOperator(":") || token().isOperator("]") ? NONE : expression();
  }

  private Expression filtersAndTests(Expression of) {
    Expression value = of;
    while (true) {
      if (acceptOperator("|")) {
        Filters.Filter filter = filterNamed(expect(Kind.NAME).text());
        ArgumentList arguments = token().isOperator("(") ? arguments() : ArgumentList.NONE;
        value = new Expression.Filtered(value, filter, arguments);
      } else if (acceptName("is")) {
        boolean negated = acceptName("not");
        Expression test = test(value);
        value = negated ? new Expression.Not(test) : test;
      } else if (token().isOperator("(")) {
        value = new Expression.Call(value, arguments());
      } else {
        return value;
      }
    }
  }

  final Filters.Filter filterNamed(String name) {
    Filters.Filter filter = Filters.named(name);
    if (filter == null) {
      throw error("there is no filter " + Text.quote(name));
    }
    return filter;
  }

  private Expression test(Expression value) {
    String name = next().text();
    Tests.Test test = Tests.named(name);
    if (test == null) {
      throw error("there is no test " + Text.quote(name));
    }
    if (token().isOperator("(")) {
      return new Expression.Tested(value, test, arguments());
    }
    boolean hasArgument =
        ARGUMENT_KINDS.contains(token().kind())
            ? !Set.of("else", "or", "and", "is", "if", "in", "not").contains(token().text())
                || token().kind() == Kind.STRING
            : token().isOperator("[") || token().isOperator("{");
    ArgumentList arguments =
        hasArgument ? new ArgumentList(List.of(postfix(primary())), Map.of()) : ArgumentList.NONE;
    return new Expression.Tested(value, test, arguments);
  }

  final ArgumentList arguments() {
    expectOperator("(");
    List<Expression> positional = new ArrayList<>();
    Map<String, Expression> named = new LinkedHashMap<>();
    while (!acceptOperator(")")) {
      if (token().kind() == Kind.NAME && peek().isOperator("=")) {
        String name = next().text();
        next();
        named.put(name, expression());
      } else if (named.isEmpty()) {
        positional.add(expression());
      } else {
        throw error("a positional argument after a named one");
      }
      if (!token().isOperator(")")) {
        expectOperator(",");
      }
    }
    return new ArgumentList(positional, named);
  }
}
