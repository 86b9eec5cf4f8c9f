package dev.sylvester.runner.adapt;

import dev.sylvester.kernels.KronShape;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * How layers are cut into Kronecker products: into blocks of this size, that of the right factor.
 *
 * @param rows of V
 * @param columns of V
 */
public record Blocks(long rows, long columns) {
  /** As PEFT's LoKr does without a factor: both factors about as large. */
  public static final Blocks BALANCED = new Blocks(0, 0);

  private static final Pattern SIZE = Pattern.compile("([1-9][0-9]{0,6})x([1-9][0-9]{0,6})");

  /**
   * Reads {@code 64x64} or {@code balanced}.
   *
   * @throws IllegalArgumentException when it is neither
   */
  public static Blocks parse(String text) {
    if (text.equals("balanced")) {
      return BALANCED;
    }
    Matcher matcher = SIZE.matcher(text);
    if (!matcher.matches()) {
      throw new IllegalArgumentException(
          "factors are '%s', must be ROWSxCOLUMNS, such as 64x64, or balanced".formatted(text));
    }
    return new Blocks(Long.parseLong(matcher.group(1)), Long.parseLong(matcher.group(2)));
  }

  /**
   * The factors of a layer.
   *
   * @throws IllegalArgumentException when the blocks do not divide it
   */
  public KronShape shape(LinearLayers.Layer layer) {
    if (equals(BALANCED)) {
      return KronShape.factored(layer.out(), layer.in(), -1);
    }
    if (layer.out() % rows != 0 || layer.in() % columns != 0) {
      throw new IllegalArgumentException(
          "factors of %s do not divide %s, which is %d x %d"
              .formatted(this, layer.name(), layer.out(), layer.in()));
    }
    return new KronShape(layer.out() / rows, layer.in() / columns, rows, columns);
  }

  @Override
  public String toString() {
    return equals(BALANCED) ? "balanced" : rows + "x" + columns;
  }
}
