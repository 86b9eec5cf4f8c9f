package dev.sylvester.kernels;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import dev.sylvester.kernels.ffi.SylvesterFfi;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** Random signs from a seed, as {@link HadamardOptions#signs(long)} defines them. */
final class HadamardSigns {
  private HadamardSigns() {}

  /** [rounds + 1][ceil(n / 32)] bits; the last diagonal is the identity. */
  static int[] random(long n, int rounds, long seed) {
    int words = (int) Math.ceilDiv(n, Integer.SIZE);
    int[] bits = new int[(rounds + 1) * words];
    int random = rounds * words;
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment counter = arena.allocate(JAVA_INT, 4);
      MemorySegment key = arena.allocateFrom(JAVA_INT, (int) seed, (int) (seed >>> Integer.SIZE));
      MemorySegment out = arena.allocate(JAVA_INT, 4);
      for (int i = 0; i < random; i += 4) {
        counter.set(JAVA_INT, 0, i / 4);
        SylvesterException.check(SylvesterFfi.syl_philox4x32(counter, key, out));
        MemorySegment.copy(out, JAVA_INT, 0, bits, i, Math.min(4, random - i));
      }
    }
    return bits;
  }
}
