package dev.sylvester.runner.text.jinja;

import dev.sylvester.runner.text.jinja.Statement.Outcome;
import dev.sylvester.runner.text.jinja.Statement.Target;
import dev.sylvester.runner.text.jinja.Token.Kind;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Parses statements. */
final class Parser extends ExpressionParser {
  private static final Statement NOTHING = new Statement.Block(List.of());
  private static final Expression TRUE = new Expression.Literal(true);

  private Parser(List<Token> tokens) {
    super(tokens);
  }

  /**
   * @throws TemplateException if the source is not a template
   */
  static Statement parse(String source) {
    Parser parser = new Parser(Lexer.tokens(source));
    Statement template = parser.block();
    if (parser.token().kind() != Kind.END) {
      throw parser.error("unexpected tag " + Text.quote(parser.peek().text()));
    }
    return template;
  }

  /** Statements up to a tag that none of them begins with, or to the end. */
  private Statement block(String... ends) {
    List<Statement> statements = new ArrayList<>();
    while (true) {
      Token token = token();
      switch (token.kind()) {
        case DATA -> statements.add(new Statement.Data(next().text()));
        case VARIABLE_BEGIN -> {
          next();
          statements.add(new Statement.Print(token.line(), tuple()));
          expect(Kind.VARIABLE_END);
        }
        case BLOCK_BEGIN -> {
          if (List.of(ends).contains(peek().text())) {
            return new Statement.Block(statements);
          }
          next();
          statements.add(statement(next(), token.line()));
        }
        default -> {
          if (ends.length > 0) {
            throw error("tag " + Text.quote(ends[ends.length - 1]) + " is missing");
          }
          return new Statement.Block(statements);
        }
      }
    }
  }

  private Statement statement(Token tag, int line) {
    return switch (tag.text()) {
      case "if" -> ifStatement(line);
      case "for" -> forStatement(line);
      case "set" -> set(line);
      case "macro" -> macro();
      case "filter" -> filterBlock(line);
      case "generation" -> {
        expect(Kind.BLOCK_END);
        yield body("endgeneration");
      }
      case "break" -> jump(Outcome.BREAK);
      case "continue" -> jump(Outcome.CONTINUE);
      default -> throw new TemplateException(line, "unknown tag " + Text.quote(tag.text()));
    };
  }

  private Statement ifStatement(int line) {
    Expression condition = tuple();
    expect(Kind.BLOCK_END);
    Statement then = block("elif", "else", "endif");
    Token begin = next();
    Statement otherwise =
        switch (next().text()) {
          case "elif" -> ifStatement(begin.line());
          case "else" -> {
            expect(Kind.BLOCK_END);
            yield body("endif");
          }
          default -> {
            expect(Kind.BLOCK_END);
            yield NOTHING;
          }
        };
    return new Statement.If(line, condition, then, otherwise);
  }

  private Statement forStatement(int line) {
    Target target = target();
    expectName("in");
    Expression iterable = tupleWithoutChoice();
    Expression condition = acceptName("if") ? expression() : TRUE;
    expect(Kind.BLOCK_END);
    Statement body = block("else", "endfor");
    next();
    boolean hasElse = next().isName("else");
    expect(Kind.BLOCK_END);
    return new Statement.For(
        line, target, iterable, condition, body, hasElse ? body("endfor") : NOTHING);
  }

  private Statement set(int line) {
    Target target = target();
    if (acceptOperator("=")) {
      Expression value = tuple();
      expect(Kind.BLOCK_END);
      return new Statement.Set(line, target, value);
    }
    expect(Kind.BLOCK_END);
    return new Statement.SetBlock(target, body("endset"));
  }

  private Statement macro() {
    String name = expect(Kind.NAME).text();
    expectOperator("(");
    Map<String, Expression> parameters = new LinkedHashMap<>();
    while (!acceptOperator(")")) {
      String parameter = expect(Kind.NAME).text();
      parameters.put(parameter, acceptOperator("=") ? expression() : null);
      if (!token().isOperator(")")) {
        expectOperator(",");
      }
    }
    expect(Kind.BLOCK_END);
    return new Statement.Macro(name, parameters, body("endmacro"));
  }

  private Statement filterBlock(int line) {
    Filters.Filter filter = filterNamed(expect(Kind.NAME).text());
    Expression.ArgumentList arguments =
        token().isOperator("(") ? arguments() : Expression.ArgumentList.NONE;
    expect(Kind.BLOCK_END);
    return new Statement.FilterBlock(line, filter, arguments, body("endfilter"));
  }

  private Statement jump(Outcome outcome) {
    expect(Kind.BLOCK_END);
    return new Statement.Jump(outcome);
  }

  /** Statements up to this tag, and the tag. */
  private Statement body(String end) {
    Statement body = block(end);
    next();
    next();
    expect(Kind.BLOCK_END);
    return body;
  }

  private Target target() {
    String name = expect(Kind.NAME).text();
    if (acceptOperator(".")) {
      return new Target(List.of(name), expect(Kind.NAME).text());
    }
    List<String> names = new ArrayList<>();
    names.add(name);
    while (acceptOperator(",")) {
      names.add(expect(Kind.NAME).text());
    }
    return new Target(names, null);
  }
}
