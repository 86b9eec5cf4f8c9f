package dev.sylvester.runner;

/**
 * What a request produced.
 *
 * @param text the generated text, without end token and stop string
 * @param tokens the generated tokens, without the end token
 * @param promptTokens length of the prompt
 * @param cachedTokens how many of them the session held already
 * @param stopReason why it ended
 * @param prefillSeconds from the request to the logits of the prompt's last token
 * @param decodeSeconds from there to the end
 * @param decodeSteps tokens that were fed back, one at a time; with speculation all that its rounds
 *     gave, an end token too
 */
public record Generation(
    String text,
    int[] tokens,
    int promptTokens,
    int cachedTokens,
    StopReason stopReason,
    double prefillSeconds,
    double decodeSeconds,
    int decodeSteps) {

  /** Prompt tokens evaluated in a second. */
  public double prefillTokensPerSecond() {
    return rate(promptTokens - cachedTokens, prefillSeconds);
  }

  /** Tokens decoded in a second; 0 when none was fed back. */
  public double decodeTokensPerSecond() {
    return rate(decodeSteps, decodeSeconds);
  }

  private static double rate(int tokens, double seconds) {
    return tokens == 0 ? 0 : tokens / Math.max(seconds, 1e-9);
  }
}
