package dev.sylvester.bench.hadamard;

/** What JVM projects write themselves: the textbook's loop over stages, then the scale. */
final class JavaLoop {
  private JavaLoop() {}

  /** Orthonormal transform of x[start .. start + n - 1] in place. */
  static void transform(float[] x, int start, int n) {
    for (int h = 1; h < n; h *= 2) {
      for (int i = start; i < start + n; i += 2 * h) {
        for (int j = i; j < i + h; j++) {
          float a = x[j];
          float b = x[j + h];
          x[j] = a + b;
          x[j + h] = a - b;
        }
      }
    }
    float scale = (float) (1 / Math.sqrt(n));
    for (int i = start; i < start + n; i++) {
      x[i] *= scale;
    }
  }

  /** Codes of x[start .. start + n - 1]; returns their scale. */
  static float quantize(float[] x, int start, int n, byte[] codes) {
    float largest = 0;
    for (int i = start; i < start + n; i++) {
      largest = Math.max(largest, Math.abs(x[i]));
    }
    float scale = largest / 127;
    for (int i = start; i < start + n; i++) {
      codes[i] = (byte) Math.clamp(Math.rint(x[i] / scale), -127, 127);
    }
    return scale;
  }
}
