package dev.sylvester.runner;

import java.nio.file.Path;
import java.util.Objects;

/**
 * An adapter beside a model's weights, which stay as they are.
 *
 * @param folder as PEFT saves it: LoRA or LoKr; or a file of sums of Kronecker products
 * @param scale factor on its change, finite; 1: as it was trained
 */
public record Adapter(Path folder, float scale) {
  /** Checks the values. */
  public Adapter {
    Objects.requireNonNull(folder, "folder");
    if (!Float.isFinite(scale)) {
      throw new IllegalArgumentException(
          "the scale of adapter %s is %s, must be finite".formatted(folder, scale));
    }
  }

  /**
   * Reads {@code DIR} or {@code DIR:SCALE}, as {@code adapters/sums:0.7}.
   *
   * @throws IllegalArgumentException when the scale is not finite
   */
  public static Adapter parse(String text) {
    int colon = text.lastIndexOf(':');
    if (colon > 0) {
      try {
        float scale = Float.parseFloat(text.substring(colon + 1));
        return new Adapter(Path.of(text.substring(0, colon)), scale);
      } catch (NumberFormatException e) {
        // A colon of the folder's own name.
      }
    }
    return new Adapter(Path.of(text), 1);
  }
}
