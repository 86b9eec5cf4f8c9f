package dev.sylvester.runner.cli;

import dev.sylvester.kernels.spec.SpecStats;
import dev.sylvester.runner.Generation;
import java.util.Locale;

/** Numbers for people. */
final class Text {
  private Text() {}

  /** Decimal units, as file sizes are usually told. */
  static String bytes(long bytes) {
    if (bytes < 1000) {
      return bytes + " B";
    }
    double value = bytes / 1e3;
    int unit = 0;
    while (value >= 999.5 && unit < 3) {
      value /= 1000;
      unit++;
    }
    return String.format(
        Locale.ROOT, value < 9.95 ? "%.1f %sB" : "%.0f %sB", value, "kMGT".charAt(unit));
  }

  static String rates(Generation generation, long cacheBytesPerToken) {
    return String.format(
        Locale.ROOT,
        "prefill %.1f tok/s, decode %.1f tok/s, cache %,d bytes/token",
        generation.prefillTokensPerSecond(),
        generation.decodeTokensPerSecond(),
        cacheBytesPerToken);
  }

  static String speculation(SpecStats stats) {
    return String.format(
        Locale.ROOT,
        "%.2f tokens a pass, %.0f %% of %,d candidates accepted",
        stats.tokensPerPass(),
        stats.drafted() == 0 ? 0 : 100 * stats.acceptanceRate(),
        stats.drafted());
  }
}
