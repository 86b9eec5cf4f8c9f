package dev.sylvester.kernels;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import net.jqwik.api.EdgeCasesMode;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.ShrinkingMode;
import net.jqwik.api.lifecycle.AfterTry;

/** Batches whose parts are now and then something else. */
class VerifierHostileArgumentsTest extends HostileCalls {
  private static final Workspace WORKSPACE = new Workspace();

  @AfterTry
  void nothingWasWrittenOutside() {
    Chance.checkRegions();
  }

  private static int[] tokens(Chance chance, int count, int limit) {
    int[] tokens = new int[Math.clamp(chance.size(count), 0, 300)];
    for (int i = 0; i < tokens.length; i++) {
      tokens[i] = (int) chance.size(chance.between(0, limit - 1));
    }
    return tokens;
  }

  private static SamplerOptions sampler(Chance chance, long seed) {
    return new SamplerOptions(
        chance.number(0.8f),
        (int) chance.size(chance.between(0, 4)),
        chance.number(0.9f),
        chance.number(0.05f),
        chance.coin() ? 1 : chance.number(1.1f),
        0,
        0,
        seed);
  }

  @Property(
      tries = TRIES,
      seed = "31",
      edgeCases = EdgeCasesMode.NONE,
      shrinking = ShrinkingMode.OFF)
  void verify(@ForAll long seed) {
    Chance chance = new Chance(seed);
    int cols = (int) chance.between(1, 40);
    int count = (int) chance.between(0, 6);
    long stride = cols + chance.between(0, 3);
    MemorySegment logits = chance.finite(count + 1, cols, stride);
    try (Arena arena = Arena.ofConfined()) {
      survive(
          () -> {
            Verifier verifier = Verifier.allocate(2, 12, arena);
            Sampler sampler = Sampler.of(sampler(chance, seed), arena);
            verifier.begin(chance.any(SpecMode.values()), chance.size(cols));
            if (chance.coin()) {
              verifier.add(sampler, chance.size(7), tokens(chance, count, cols), count);
            } else {
              int[] parents = new int[count + 1];
              for (int i = 1; i <= count; i++) {
                parents[i] = (int) chance.size(chance.between(0, i - 1));
              }
              int[] nodes = tokens(chance, count + 1, cols);
              verifier.addTree(sampler, 7, nodes, parents, count + 1);
            }
            verifier.logits(logits, chance.size(stride));
            parts(chance, verifier, cols, count, stride);
            verifier.verify(WORKSPACE, null);
          });
    }
  }

  private static void parts(Chance chance, Verifier verifier, int cols, int count, long stride) {
    switch ((int) chance.between(0, 7)) {
      case 0 -> verifier.history(chance.ids(3, cols), chance.size(3));
      case 1 -> verifier.bias(chance.ids(2, cols), chance.floats(1, 2, 2), chance.size(2));
      case 2 -> verifier.endTokens(chance.ids(2, cols), chance.size(2));
      case 3 -> {
        long words = (cols + 31) / 32;
        verifier.allowed(chance.ids((count + 1) * words, 1 << 30), chance.size(words));
      }
      case 4 ->
          verifier
              .draft()
              .logits(
                  chance.finite(count + 1, cols, stride), chance.size(stride), chance.size(cols));
      case 5 -> {
        long[] counts = new long[count + 1];
        java.util.Arrays.fill(counts, 1);
        counts[0] = chance.size(1);
        verifier
            .draft()
            .sparse(chance.ids(count + 1, cols), chance.finite(1, count + 1, count + 1), counts);
      }
      case 6 -> {
        int known = (int) chance.between(1, cols);
        verifier
            .draft()
            .probabilities(chance.finite(count + 1, known, known), chance.size(known), known);
        verifier.draft().vocabulary(chance.ids(known, cols));
      }
      default -> {}
    }
  }
}
