package dev.sylvester.cuda;

import dev.sylvester.kernels.Chance;
import dev.sylvester.kernels.GuardedMemory;
import dev.sylvester.kernels.HostileOutcomes;
import java.lang.foreign.MemorySegment;
import net.jqwik.api.lifecycle.AfterProperty;
import net.jqwik.api.lifecycle.BeforeProperty;

/**
 * Whatever the arguments are, a call returns or throws, and never touches a byte outside the memory
 * it was given: on the emulator that ends at a guard page, so that a wrong call ends the process.
 */
abstract class HostileDeviceCalls {
  static final int TRIES = 2000;

  static final CudaDevice DEVICE = DeviceCopies.DEVICE;
  private static final CudaDevice OTHER = DeviceCopies.OTHER;
  private static final CudaStream STREAM = CudaStream.of(DEVICE);
  static final GuardedMemory[] REGIONS = new GuardedMemory[8];

  static {
    for (int i = 0; i < REGIONS.length; i++) {
      REGIONS[i] = new GuardedMemory(8);
    }
  }

  private static final HostileOutcomes OUTCOMES = new HostileOutcomes();

  @BeforeProperty
  void reset() {
    OUTCOMES.reset();
  }

  @AfterProperty
  void goodAndBadCallsWereMade() {
    OUTCOMES.assertBoth(TRIES);
  }

  /** Runs a call that may refuse its arguments in one of the documented ways. */
  static void survive(Runnable call) {
    OUTCOMES.run(
        () -> {
          call.run();
          STREAM.await();
        },
        () -> {
          for (GuardedMemory region : REGIONS) {
            region.check();
          }
        });
  }

  /** Memory of so many bytes, mostly. */
  static DeviceMemory memory(Chance chance, int region, long bytes) {
    GuardedMemory guarded = REGIONS[region];
    if (!chance.hostile()) {
      return DeviceMemory.foreign(DEVICE, guarded.last(bytes));
    }
    return switch ((int) chance.between(0, 5)) {
      case 0 -> null;
      case 1 -> DeviceMemory.foreign(DEVICE, guarded.last(Math.max(0, bytes - 1)));
      case 2 -> DeviceMemory.foreign(DEVICE, guarded.last(bytes / 2));
      case 3 -> DeviceMemory.foreign(DEVICE, MemorySegment.NULL);
      case 4 -> DeviceMemory.foreign(OTHER, guarded.last(bytes));
      default -> {
        DeviceMemory closed = DeviceMemory.allocate(DEVICE, Math.max(1, bytes));
        closed.close();
        yield closed;
      }
    };
  }

  static CudaStream stream(Chance chance) {
    if (!chance.hostile()) {
      return chance.coin() ? STREAM : null;
    }
    CudaStream closed = CudaStream.of(DEVICE);
    closed.close();
    return closed;
  }
}
