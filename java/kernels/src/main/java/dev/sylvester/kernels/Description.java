package dev.sylvester.kernels;

import java.nio.file.Path;
import java.util.List;

/**
 * What is in use, and why not something else.
 *
 * @param version of the native library
 * @param abiVersion of the native library
 * @param library its file
 * @param sha256 hash of the file
 * @param refused places tried before it, each with the reason
 * @param tier kernels in use
 * @param supportedTiers all that the processor can run, slowest first
 * @param threads default number of threads
 */
public record Description(
    String version,
    int abiVersion,
    Path library,
    String sha256,
    List<String> refused,
    String tier,
    List<String> supportedTiers,
    int threads) {

  /**
   * Why the tier is in use.
   *
   * @return a short phrase
   */
  public String tierReason() {
    String best = supportedTiers.getLast();
    return tier.equals(best)
        ? "the best of " + String.join(", ", supportedTiers)
        : "forced; the best here is " + best;
  }

  /**
   * All of it, for people.
   *
   * @return several lines, each but the last with a line end
   */
  public String text() {
    StringBuilder text = new StringBuilder();
    line(text, "version", version + " (ABI " + abiVersion + ")");
    line(text, "library", library.toString());
    line(text, "sha256", sha256);
    for (String place : refused) {
      line(text, "not used", place);
    }
    line(text, "tier", tier + " (" + tierReason() + ")");
    line(text, "threads", Integer.toString(threads));
    return text.toString().stripTrailing();
  }

  private static void line(StringBuilder text, String name, String value) {
    text.append("%-9s %s%n".formatted(name, value));
  }
}
