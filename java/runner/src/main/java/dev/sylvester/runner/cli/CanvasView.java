package dev.sylvester.runner.cli;

import dev.sylvester.runner.diffusion.Canvas;
import dev.sylvester.runner.diffusion.Decoding;
import dev.sylvester.runner.text.Tokenizer;
import java.io.PrintStream;

/**
 * Draws a canvas after every step: on a terminal in place, coloured by step, elsewhere in lines.
 */
final class CanvasView {
  private static final int WIDTH = 80;
  private static final String UNKNOWN = "·";

  /** Of the 256 colours, from blue to red. */
  private static final int[] COLOURS = {27, 33, 39, 45, 49, 48, 82, 118, 190, 220, 214, 208, 202};

  private final PrintStream out;
  private final Tokenizer tokenizer;
  private final int steps;
  private final boolean terminal;
  private int lines;

  CanvasView(PrintStream out, Tokenizer tokenizer, int steps, boolean terminal) {
    this.out = out;
    this.tokenizer = tokenizer;
    this.steps = steps;
    this.terminal = terminal;
  }

  void draw(Decoding decoding) {
    StringBuilder text = new StringBuilder();
    if (terminal && lines > 0) {
      text.append("\033[").append(lines).append("F\033[J");
    }
    int column = 0;
    lines = 1;
    Canvas canvas = decoding.canvas();
    for (int i = canvas.promptLength(); i < canvas.tokens().length; i++) {
      boolean unknown = decoding.token(i) == canvas.maskId();
      String piece = unknown ? UNKNOWN : piece(decoding.token(i));
      if (terminal && column + piece.length() > WIDTH) {
        text.append('\n');
        lines++;
        column = 0;
      }
      column += piece.length();
      text.append(terminal && !unknown ? coloured(piece, decoding.committedAt(i)) : piece);
    }
    out.println(text);
    out.flush();
  }

  private String piece(int token) {
    return tokenizer.isSpecial(token)
        ? "¶"
        : tokenizer.decode(new int[] {token}, false).replaceAll("\\s", " ");
  }

  private String coloured(String piece, int step) {
    int index = (int) ((long) Math.max(0, step) * COLOURS.length / Math.max(1, steps));
    int colour = COLOURS[Math.min(index, COLOURS.length - 1)];
    return "\033[38;5;%dm%s\033[0m".formatted(colour, piece);
  }
}
