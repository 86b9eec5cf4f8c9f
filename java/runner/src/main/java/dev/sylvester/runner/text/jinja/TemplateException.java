package dev.sylvester.runner.text.jinja;

/** A template that cannot be parsed or rendered; the message is one line. */
public final class TemplateException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  TemplateException(String problem) {
    super(problem);
  }

  TemplateException(int line, String problem) {
    super("line " + line + ": " + problem.lines().findFirst().orElse(""));
  }
}
