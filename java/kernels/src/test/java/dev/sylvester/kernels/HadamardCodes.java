package dev.sylvester.kernels;

import dev.sylvester.kernels.HadamardOptions.Quantizer;

/** Codes of one transform by plain loops, and what they stand for: see the header's quantizers. */
record HadamardCodes(Quantizer quantizer, byte[] codes, float[] scales, float[] zeros) {
  static HadamardCodes of(float[] z, Quantizer quantizer, int[] groupOf, int groups) {
    boolean symmetric = quantizer == Quantizer.I8;
    int levels = (1 << quantizer.bits()) - 1;
    byte[] codes = new byte[z.length * quantizer.bits() / 8];
    float[] scales = new float[groups];
    float[] zeros = new float[groups];
    for (int g = 0; g < groups; g++) {
      float low = Float.POSITIVE_INFINITY;
      float high = Float.NEGATIVE_INFINITY;
      for (int e = 0; e < z.length; e++) {
        if (groupOf[e] == g) {
          low = Math.min(low, z[e]);
          high = Math.max(high, z[e]);
        }
      }
      float zero = symmetric ? 0 : low + 0.0f;
      float scale =
          symmetric ? Math.max(Math.abs(low), Math.abs(high)) / 127 : (high - zero) / levels;
      scales[g] = scale;
      zeros[g] = zero;
      for (int e = 0; e < z.length; e++) {
        if (groupOf[e] == g && scale != 0) {
          double q = Math.rint((z[e] - zero) / scale);
          int code = (int) Math.clamp(q, symmetric ? -127 : 0, symmetric ? 127 : levels);
          int bit = e * quantizer.bits();
          codes[bit / 8] |= (byte) ((code & levels) << bit % 8);
        }
      }
    }
    return new HadamardCodes(quantizer, codes, scales, zeros);
  }

  /** The value of element e, all of one group. */
  double value(int e) {
    int bit = e * quantizer.bits();
    int code = codes[bit / 8] >> bit % 8; // I8: with its sign
    int levels = (1 << quantizer.bits()) - 1;
    return (double) scales[0] * (quantizer == Quantizer.I8 ? code : code & levels)
        + (quantizer.hasZeros() ? zeros[0] : 0);
  }
}
