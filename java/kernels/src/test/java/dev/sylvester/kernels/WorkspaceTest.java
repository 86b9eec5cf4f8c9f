package dev.sylvester.kernels;

import static dev.sylvester.kernels.TestData.assertRefused;
import static dev.sylvester.kernels.TestData.gaussian;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.Test;

class WorkspaceTest {
  @Test
  void growsAndStays() {
    try (Workspace workspace = new Workspace()) {
      workspace.begin();
      workspace.results.set(JAVA_LONG, 0, 1000);
      MemorySegment first = workspace.sized();
      assertThat(first.byteSize()).isGreaterThanOrEqualTo(1000);
      assertThat(first.address() % 64).isZero();
      workspace.results.set(JAVA_LONG, 0, 10);
      assertThat(workspace.sized()).isSameAs(first);
      workspace.results.set(JAVA_LONG, 0, first.byteSize() + 1);
      assertThat(workspace.sized().byteSize()).isEqualTo(first.byteSize() * 3 / 2);
      assertThat(workspace.bytes()).isEqualTo(first.byteSize() * 3 / 2);
      assertThat(first.scope().isAlive()).isFalse();
      workspace.end();
    }
  }

  @Test
  void servesOneCallAtATime() {
    Workspace workspace = new Workspace();
    workspace.begin();
    assertThatThrownBy(workspace::begin)
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("Workspace is in use by another call");
    assertThatThrownBy(workspace::close).isInstanceOf(IllegalStateException.class);
    workspace.end();
    workspace.close();
  }

  @Test
  void isNotUsedAfterClosing() {
    Workspace workspace = new Workspace();
    workspace.close();
    workspace.close();
    try (Arena arena = Arena.ofConfined()) {
      Sampler sampler = Sampler.of(SamplerOptions.GREEDY, arena);
      MemorySegment logits = TestData.floats(arena, gaussian(1, 4));
      for (int i = 0; i < 2; i++) {
        assertThatThrownBy(() -> sampler.sample(logits, 4, 0, workspace))
            .isInstanceOf(IllegalStateException.class)
            .hasMessage("Workspace is closed");
      }
    }
  }

  @Test
  void survivesARefusedSize() {
    try (Workspace workspace = new Workspace()) {
      workspace.begin();
      workspace.results.set(JAVA_LONG, 0, Long.MAX_VALUE / 2);
      assertRefused(Status.OUT_OF_MEMORY, "Workspace: the system has no", workspace::sized);
      workspace.results.set(JAVA_LONG, 0, 100);
      assertThat(workspace.sized().byteSize()).isGreaterThanOrEqualTo(100);
      workspace.end();
    }
  }
}
