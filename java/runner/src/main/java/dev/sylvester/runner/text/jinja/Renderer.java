package dev.sylvester.runner.text.jinja;

/** The state of one rendering: where it is, what it wrote, how much it did. */
final class Renderer {
  // Far above what a conversation takes; a hostile template must come to an end.
  private static final int MOST_STEPS = 20_000_000;

  private StringBuilder out = new StringBuilder();
  private int steps;

  /** The line of the statement being rendered. */
  int line = 1;

  void write(String text) {
    Values.checkSize((long) out.length() + text.length());
    out.append(text);
  }

  void step() {
    if (++steps > MOST_STEPS) {
      throw new TemplateException("the template does not come to an end");
    }
  }

  /** What an action writes, kept apart. */
  String capture(Runnable action) {
    StringBuilder outer = out;
    out = new StringBuilder();
    try {
      action.run();
      return out.toString();
    } finally {
      out = outer;
    }
  }

  String text() {
    return out.toString();
  }
}
