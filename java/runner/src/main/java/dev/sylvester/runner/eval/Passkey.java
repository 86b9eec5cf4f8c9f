package dev.sylvester.runner.eval;

import dev.sylvester.runner.GenerationRequest;
import dev.sylvester.runner.Model;
import dev.sylvester.runner.Session;
import java.util.Random;

/**
 * Finds a number again that was told once in a long text that says nothing (Mohtashami and Jaggi
 * 2023): what a cache loses of single tokens far back. The texts are made up here.
 */
public final class Passkey {
  private static final String TASK =
      "A number is hidden in the following text. Find it and remember it.\n";
  private static final String NOTHING =
      "The road goes up the hill. The river runs to the sea. The wind is cold today. ";
  private static final String TOLD = "The secret number is %1$d. Remember that: %1$d. ";
  private static final String QUESTION = "\nWhat is the secret number? The secret number is";
  private static final int ANSWER_TOKENS = 12;

  private final Session session;
  private final int nothingTokens;
  private final int otherTokens;

  /** With one session, which is used again and again. */
  public Passkey(Session session) {
    this.session = session;
    this.nothingTokens = count(NOTHING);
    this.otherTokens = count(TASK + TOLD.formatted(12345) + QUESTION) + ANSWER_TOKENS;
  }

  private int count(String text) {
    return session.model().tokenizer().encode(text, false).length;
  }

  /**
   * One try.
   *
   * @param length tokens of the text, about
   * @param depth where the number is told, 0: at the beginning, 1: at the end
   * @param seed decides the number
   * @return whether the model says it
   * @throws IllegalArgumentException when the length leaves no room for the text, or the context
   *     does not hold it
   */
  public boolean found(int length, double depth, long seed) {
    Model model = session.model();
    int sentences = (length - otherTokens) / nothingTokens;
    if (sentences < 1 || length > session.context()) {
      throw new IllegalArgumentException(
          "length is %d, must be %d..%d"
              .formatted(length, otherTokens + nothingTokens, session.context()));
    }
    int key = new Random(seed).nextInt(10_000, 100_000);
    int before = (int) Math.round(depth * sentences);
    String text =
        TASK
            + NOTHING.repeat(before)
            + TOLD.formatted(key)
            + NOTHING.repeat(sentences - before)
            + QUESTION;
    int[] prompt = model.tokenizer().encode(text, true);
    return session
        .generate(GenerationRequest.of(model, prompt, ANSWER_TOKENS))
        .text()
        .strip()
        .startsWith(Integer.toString(key));
  }
}
