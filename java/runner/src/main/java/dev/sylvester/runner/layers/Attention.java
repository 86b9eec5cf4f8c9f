package dev.sylvester.runner.layers;

/** Where a layer's keys and values go, and what its queries find. */
interface Attention {
  /** Whether keys are kept as they are before rotary positions; queries never are. */
  default boolean preRope() {
    return false;
  }

  /**
   * Appends rows of {@code s.keys} and {@code s.values}, from row {@code row} on, at positions
   * {@code first} and on, and lets the same rows of {@code s.queries} attend to all tokens into
   * {@code s.attention}. {@code s.hidden} is what entered the layer.
   */
  void attend(int layer, Scratch s, int row, int first, int rows);

  /**
   * Forgets what a layer has of tokens {@code tokens} and on. They were read after the last pass
   * through all layers.
   */
  default void cut(int layer, int tokens) {
    throw new UnsupportedOperationException("this cache does not go back in one layer");
  }
}
