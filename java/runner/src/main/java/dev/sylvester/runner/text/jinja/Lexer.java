package dev.sylvester.runner.text.jinja;

import dev.sylvester.runner.text.jinja.Token.Kind;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Cuts a template into tokens and applies its whitespace control: a newline after a block or
 * comment goes, and so does the indentation before one that starts its line; a minus sign takes all
 * whitespace on its side, a plus sign keeps it.
 */
final class Lexer {
  private static final Pattern TAG = Pattern.compile("\\{([{%#])([-+]?)");
  private static final Pattern RAW = Pattern.compile("\\s*raw\\s*(-?)%}");
  private static final Pattern END_RAW = Pattern.compile("\\{%([-+]?)\\s*endraw\\s*([-+]?)%}");
  private static final Pattern NUMBER = Pattern.compile("\\d[\\d_]*(\\.\\d+)?([eE][-+]?\\d+)?");
  private static final Pattern NAME = Pattern.compile("[\\p{L}_][\\p{L}\\p{N}_]*");
  private static final Pattern OPERATOR =
      Pattern.compile("//|\\*\\*|==|!=|>=|<=|[-+/*%~\\[\\](){}<>=.:|,]");

  private final String source;
  private final List<Token> tokens = new ArrayList<>();
  private int position;
  private int line = 1;
  private int counted;
  private boolean atLineStart = true;

  private Lexer(String source) {
    this.source = source;
  }

  static List<Token> tokens(String source) {
    String lines = source.replace("\r\n", "\n").replace('\r', '\n');
    // As Jinja does unless told otherwise, the last newline goes.
    return new Lexer(lines.endsWith("\n") ? lines.substring(0, lines.length() - 1) : lines).run();
  }

  private List<Token> run() {
    Matcher tag = TAG.matcher(source);
    while (tag.find(position)) {
      char kind = tag.group(1).charAt(0);
      addData(tag.start(), tag.group(2), kind != '{');
      position = tag.end();
      switch (kind) {
        case '#' -> comment();
        case '{' -> expression(Kind.VARIABLE_BEGIN, Kind.VARIABLE_END, "}}");
        default -> {
          Matcher raw = RAW.matcher(source).region(position, source.length());
          if (raw.lookingAt()) {
            position = raw.end();
            raw(raw.group(1).equals("-"));
          } else {
            expression(Kind.BLOCK_BEGIN, Kind.BLOCK_END, "%}");
          }
        }
      }
    }
    addData(source.length(), "", false);
    add(Kind.END, "");
    return tokens;
  }

  private void addData(int end, String sign, boolean lstrip) {
    String text = source.substring(position, end);
    if (sign.equals("-")) {
      text = Text.strip(text, null, false, true);
    } else if (lstrip && !sign.equals("+")) {
      int lineStart = text.lastIndexOf('\n') + 1;
      if ((lineStart > 0 || atLineStart) && Text.isBlank(text.substring(lineStart))) {
        text = text.substring(0, lineStart);
      }
    }
    if (!text.isEmpty()) {
      add(Kind.DATA, text);
    }
  }

  private void comment() {
    int end = source.indexOf("#}", position);
    if (end < 0) {
      throw error("a comment is not closed");
    }
    char sign = source.charAt(end - 1);
    position = end + 2;
    afterTag(end > 0 ? sign : ' ', true);
  }

  private void raw(boolean strip) {
    afterTag(strip ? '-' : ' ', false);
    Matcher end = END_RAW.matcher(source);
    if (!end.find(position)) {
      throw error("a raw block is not closed");
    }
    addData(end.start(), end.group(1), true);
    position = end.end();
    afterTag(end.group(2).isEmpty() ? ' ' : end.group(2).charAt(0), true);
  }

  private void expression(Kind begin, Kind end, String close) {
    add(begin, "");
    int depth = 0;
    while (true) {
      skipSpace();
      if (position == source.length()) {
        throw error("'" + close + "' is missing");
      }
      char sign = source.charAt(position);
      boolean signed = sign == '-' || (sign == '+' && end == Kind.BLOCK_END);
      int at = signed ? position + 1 : position;
      if (depth == 0 && source.startsWith(close, at)) {
        add(end, "");
        position = at + 2;
        afterTag(signed ? sign : ' ', end == Kind.BLOCK_END);
        return;
      }
      String operator = token();
      depth +=
          switch (operator) {
            case "(", "[", "{" -> 1;
            case ")", "]", "}" -> -1;
            default -> 0;
          };
    }
  }

  /** Adds the next token; returns it if it is an operator, otherwise nothing. */
  private String token() {
    Matcher matcher = OPERATOR.matcher(source).region(position, source.length());
    if (matcher.lookingAt()) {
      return add(Kind.OPERATOR, matcher);
    }
    if (matcher.usePattern(NAME).lookingAt()) {
      add(Kind.NAME, matcher);
    } else if (matcher.usePattern(NUMBER).lookingAt()) {
      boolean isFloat = matcher.group(1) != null || matcher.group(2) != null;
      add(isFloat ? Kind.FLOAT : Kind.INTEGER, matcher);
    } else if (source.charAt(position) == '\'' || source.charAt(position) == '"') {
      string(source.charAt(position));
    } else {
      throw error("unexpected " + Text.quote(source.substring(position, position + 1)));
    }
    return "";
  }

  private void string(char quote) {
    int end = position + 1;
    while (end < source.length() && source.charAt(end) != quote) {
      end += source.charAt(end) == '\\' ? 2 : 1;
    }
    if (end >= source.length()) {
      throw error("a string is not closed");
    }
    try {
      add(Kind.STRING, Text.unescape(source.substring(position + 1, end)));
    } catch (TemplateException e) {
      throw error(e.getMessage());
    }
    position = end + 1;
  }

  private String add(Kind kind, Matcher matcher) {
    add(kind, matcher.group());
    position = matcher.end();
    return matcher.group();
  }

  private void add(Kind kind, String text) {
    tokens.add(new Token(kind, text, line()));
  }

  private void skipSpace() {
    while (position < source.length() && Text.isSpace(source.charAt(position))) {
      position++;
    }
  }

  private void afterTag(char sign, boolean trim) {
    if (sign == '-') {
      skipSpace();
    } else if (trim && sign != '+' && source.startsWith("\n", position)) {
      position++;
    }
    atLineStart = source.charAt(position - 1) == '\n';
  }

  private int line() {
    for (; counted < position; counted++) {
      if (source.charAt(counted) == '\n') {
        line++;
      }
    }
    return line;
  }

  private TemplateException error(String problem) {
    return new TemplateException(line(), problem);
  }
}
