package dev.sylvester.kernels.internal;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.Test;

class NativeMemoryTest {
  @Test
  void isZeroedAlignedAndOwnedByTheArena() {
    MemorySegment memory;
    try (Arena arena = Arena.ofConfined()) {
      for (int bytes : new int[] {0, 1, 63, 4096, 1_000_000}) {
        memory = NativeMemory.allocate(bytes, arena);
        assertThat(memory.byteSize()).isEqualTo(bytes);
        assertThat(memory.address() % 64).isZero();
        assertThat(memory.mismatch(memory.asReadOnly())).isEqualTo(-1);
        for (long i = 0; i < bytes; i += 61) {
          assertThat(memory.get(JAVA_BYTE, i)).isZero();
        }
        memory.fill((byte) 1);
      }
      memory = NativeMemory.allocate(8, arena);
    }
    MemorySegment gone = memory;
    assertThatThrownBy(() -> gone.get(JAVA_BYTE, 0)).isInstanceOf(IllegalStateException.class);
  }

  @Test
  void isNotLimitedByTheHeap() {
    long bytes = Runtime.getRuntime().maxMemory() + (1L << 30);
    try (Arena arena = Arena.ofConfined()) {
      assertThat(NativeMemory.allocate(bytes, arena).byteSize()).isEqualTo(bytes);
    }
  }

  @Test
  void tooMuchIsNull() {
    try (Arena arena = Arena.ofConfined()) {
      assertThat(NativeMemory.allocate(1L << 60, arena)).isNull();
      assertThat(NativeMemory.allocate(Long.MAX_VALUE, arena)).isNull();
    }
  }

  @Test
  void closedArenaOwnsNothing() {
    Arena arena = Arena.ofConfined();
    arena.close();
    assertThatThrownBy(() -> NativeMemory.allocate(100, arena))
        .isInstanceOf(IllegalStateException.class);
  }
}
