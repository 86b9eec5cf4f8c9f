package dev.sylvester.cuda;

import dev.sylvester.kernels.Chance;
import dev.sylvester.kernels.Sampler;
import dev.sylvester.kernels.SamplerOptions;
import dev.sylvester.kernels.SpecMode;
import java.lang.foreign.Arena;
import net.jqwik.api.EdgeCasesMode;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.ShrinkingMode;

/** Batches of candidates, as {@link HostileDeviceCalls} says. */
class CudaVerifierHostileArgumentsTest extends HostileDeviceCalls {
  @Property(
      tries = TRIES,
      seed = "5",
      edgeCases = EdgeCasesMode.NONE,
      shrinking = ShrinkingMode.OFF)
  void verify(@ForAll long seed) {
    Chance chance = new Chance(seed);
    int cols = (int) chance.between(1, 40);
    int count = (int) chance.between(0, 4);
    long stride = cols + chance.between(0, 3);
    long bytes = 4 * (count * stride + cols);
    try (Arena arena = Arena.ofConfined();
        CudaVerifier verifier = CudaVerifier.allocate(2, 8, DEVICE)) {
      survive(
          () -> {
            SamplerOptions options =
                SamplerOptions.GREEDY.withTemperature(chance.number(1)).withSeed(seed);
            int[] tokens = new int[count];
            for (int i = 0; i < count; i++) {
              tokens[i] = (int) chance.size(chance.between(0, cols - 1));
            }
            verifier.begin(chance.any(SpecMode.values()), chance.size(cols));
            verifier.add(Sampler.of(options, arena), chance.size(3), tokens, count);
            verifier.logits(memory(chance, 0, bytes), chance.size(stride));
            switch ((int) chance.between(0, 4)) {
              case 0 -> verifier.allowed(memory(chance, 1, 8L * (count + 1)), chance.size(2));
              case 1 ->
                  verifier.draftLogits(
                      memory(chance, 2, bytes), chance.size(stride), chance.size(cols));
              case 2 ->
                  verifier.draftProbabilities(
                      memory(chance, 2, bytes), chance.size(stride), chance.size(cols));
              default -> {}
            }
            long needed = verifier.workspaceBytes(); // more than a region holds
            try (DeviceMemory scratch = DeviceMemory.allocate(DEVICE, needed)) {
              verifier.verify(chance.hostile() ? memory(chance, 3, 256) : scratch, stream(chance));
              verifier.await();
            }
          });
    }
  }
}
