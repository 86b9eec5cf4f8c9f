package dev.sylvester.runner.text;

import java.util.List;
import java.util.Optional;

/**
 * Finds stop strings in text that arrives in pieces. Text that may turn out to begin a stop string
 * is held back, so what was handed out never has to be taken back. The outcome does not depend on
 * where the pieces were cut: the stop string that ends first wins, the longest of those that end
 * together.
 */
public final class StopMatcher {
  private final List<String> stops;
  private final StringBuilder held = new StringBuilder();
  private String match;

  /**
   * @throws IllegalArgumentException if a stop string is empty
   */
  public StopMatcher(List<String> stops) {
    this.stops = List.copyOf(stops);
    if (this.stops.contains("")) {
      throw new IllegalArgumentException("a stop string is empty");
    }
  }

  /**
   * Takes the next piece of text.
   *
   * @return what is now known to stand before any stop string, often empty; after a match always
   */
  public String add(String piece) {
    if (match != null) {
      return "";
    }
    if (stops.isEmpty()) {
      return piece;
    }
    for (int i = 0; i < piece.length(); i++) {
      held.append(piece.charAt(i));
      match = stopAtEnd();
      if (match != null) {
        return take(held.length() - match.length());
      }
    }
    return take(held.length() - longestBegunStop());
  }

  /** The text still held back, once no more is to come; empty after a match. */
  public String finish() {
    return match != null ? "" : take(held.length());
  }

  /** The stop string that was found. */
  public Optional<String> match() {
    return Optional.ofNullable(match);
  }

  private String stopAtEnd() {
    String longest = null;
    for (String stop : stops) {
      if (endsWith(stop, stop.length()) && (longest == null || stop.length() > longest.length())) {
        longest = stop;
      }
    }
    return longest;
  }

  /** Length of the longest end of the held text that a stop string begins with. */
  private int longestBegunStop() {
    int longest = 0;
    for (String stop : stops) {
      for (int n = Math.min(stop.length() - 1, held.length()); n > longest; n--) {
        if (endsWith(stop, n)) {
          longest = n;
        }
      }
    }
    return longest;
  }

  /** Whether the held text ends with the first {@code n} characters of {@code stop}. */
  private boolean endsWith(String stop, int n) {
    int from = held.length() - n;
    if (from < 0) {
      return false;
    }
    for (int i = 0; i < n; i++) {
      if (held.charAt(from + i) != stop.charAt(i)) {
        return false;
      }
    }
    return true;
  }

  private String take(int length) {
    String taken = held.substring(0, length);
    held.delete(0, length);
    return taken;
  }
}
