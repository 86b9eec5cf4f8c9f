package dev.sylvester.kernels;

import static dev.sylvester.kernels.TestData.assertRefused;
import static dev.sylvester.kernels.TestData.blank;
import static dev.sylvester.kernels.TestData.rows;
import static dev.sylvester.kernels.TestData.weights;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;

class ThreadPoolTest {
  @Test
  void hasTheSizeAskedFor() {
    try (ThreadPool pool = ThreadPool.of(3);
        ThreadPool usual = ThreadPool.ofDefault()) {
      assertThat(pool.threads()).isEqualTo(3);
      assertThat(usual.threads())
          .isEqualTo(ThreadPool.defaultThreads())
          .isBetween(1, Runtime.getRuntime().availableProcessors());
    }
    assertRefused(Status.BAD_VALUE, "threads is 0, must be 1..256", () -> ThreadPool.of(0));
    assertRefused(Status.BAD_VALUE, "threads is 257", () -> ThreadPool.of(257));
  }

  @Test
  void closesTwiceAndIsNotUsedAfterwards() {
    ThreadPool pool = ThreadPool.of(2);
    pool.close();
    pool.close();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment x = rows(arena, 1, 1, 8, 8);
      assertThatThrownBy(() -> Nn.rmsNorm(x, 8, x, 0, 1, 8, x, 8, pool))
          .isInstanceOf(IllegalStateException.class)
          .hasMessage("ThreadPool is closed");
    }
  }

  @Test
  void isNeverFreedUnderARunningCall() throws InterruptedException {
    try (Arena arena = Arena.ofShared()) {
      Matrix matrix =
          Matrix.pack(DType.F32, 64, 64, weights(arena, DType.F32, 1, 64, 64), arena, null);
      MemorySegment x = rows(arena, 2, 8, 64, 64);
      for (int round = 0; round < 50; round++) {
        ThreadPool pool = ThreadPool.of(2);
        AtomicReference<Throwable> end = new AtomicReference<>();
        Thread user =
            new Thread(
                () -> {
                  MemorySegment y = blank(arena, 8, 64, 64);
                  try (Workspace workspace = new Workspace()) {
                    while (true) {
                      matrix.multiply(x, 64, 8, null, false, y, 64, workspace, pool);
                    }
                  } catch (Throwable e) {
                    end.set(e);
                  }
                });
        user.start();
        boolean closed = false;
        while (!closed) {
          try {
            pool.close();
            closed = true;
          } catch (IllegalStateException e) {
            Thread.onSpinWait(); // a call is using it
          }
        }
        user.join();
        assertThat(end.get()).isInstanceOf(IllegalStateException.class);
      }
    }
  }
}
