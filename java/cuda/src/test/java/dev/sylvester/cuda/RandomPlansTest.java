package dev.sylvester.cuda;

import static dev.sylvester.cuda.CudaHadamardTest.assertBitsOfTheProcessor;
import static dev.sylvester.cuda.CudaHadamardTest.assertCodesOfTheProcessor;
import static dev.sylvester.cuda.CudaHadamardTest.gather;

import dev.sylvester.kernels.Chance;
import dev.sylvester.kernels.DType;
import dev.sylvester.kernels.Hadamard;
import dev.sylvester.kernels.HadamardOptions;
import dev.sylvester.kernels.HadamardOptions.Quantizer;
import net.jqwik.api.EdgeCasesMode;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.ShrinkingMode;

/** As {@link CudaHadamardTest}, whatever the plan. */
class RandomPlansTest {
  @Property(tries = 300, seed = "1", edgeCases = EdgeCasesMode.NONE, shrinking = ShrinkingMode.OFF)
  void bitsOfTheProcessor(@ForAll long seed) {
    Chance chance = new Chance(seed);
    HadamardOptions options = anyOptions(chance);
    if (options.quantizer() == null) {
      assertBitsOfTheProcessor(options, chance.coin(), seed);
    } else {
      assertCodesOfTheProcessor(options, seed);
    }
  }

  /** Not too large, and all of it allowed. */
  private static HadamardOptions anyOptions(Chance chance) {
    int base = chance.any(1, 1, 1, 12, 20, 28, 36, 60);
    int n = base << chance.between(base == 1 ? 3 : 2, base == 1 ? 11 : 5);
    HadamardOptions options =
        Hadamard.of(n)
            .base(base)
            .type(chance.any(DType.F32, DType.F16, DType.BF16), chance.any(DType.F32, DType.BF16))
            .transforms(chance.between(1, 3), chance.between(1, 3), chance.between(1, 3))
            .rounds((int) chance.between(1, 3));
    if (base == 1) {
      options =
          switch ((int) chance.between(0, 3)) {
            case 0 -> options.blocks(4);
            case 1 -> options.overlapped();
            default -> options;
          };
    }
    if (chance.coin()) {
      options = options.signs(chance.between(0, 1000));
    }
    int length = n;
    if (chance.coin()) {
      length = n + (int) chance.between(0, 37);
      options = options.gather(gather(n, length), length);
    }
    if (chance.coin()) {
      long row = length + chance.between(0, 9);
      options = options.xStrides(9 * row, 3 * row, row, 1);
    }
    if (chance.coin()) {
      Quantizer quantizer = chance.any(Quantizer.values());
      return options.quantizer(quantizer, n / chance.any(1, 2));
    }
    long row = n + chance.between(0, 9);
    return chance.coin() ? options.yStrides(9 * row, 3 * row, row, 1) : options;
  }
}
