package dev.sylvester.kernels;

import static dev.sylvester.kernels.TestData.assertRefused;
import static org.assertj.core.api.Assertions.assertThat;

import dev.sylvester.kernels.ffi.SylvesterFfi;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class SylvesterTest {
  @AfterEach
  void bestTier() {
    Sylvester.forceTier(null);
  }

  @Test
  void tiersCanBeForced() {
    assertThat(Sylvester.tier()).isEqualTo(Sylvester.supportedTiers().getLast());
    for (String tier : Sylvester.supportedTiers()) {
      Sylvester.forceTier(tier);
      assertThat(Sylvester.tier()).isEqualTo(tier);
    }
    assertRefused(Status.BAD_VALUE, "name is \"mmx\"", () -> Sylvester.forceTier("mmx"));
  }

  @Test
  void describesWhatIsInUse() {
    Description description = Sylvester.describe();
    assertThat(description.version()).matches("\\d+\\.\\d+\\.\\d+");
    assertThat(description.library())
        .isEqualTo(Path.of(System.getProperty("sylvester.native.path")));
    assertThat(description.sha256()).matches("[0-9a-f]{64}");
    assertThat(description.refused()).isEmpty();
    assertThat(description.threads()).isPositive();
    assertThat(description.text())
        .contains("version   " + description.version() + " (ABI 1)")
        .contains("tier      " + description.tier() + " (the best of ");
    String slowest = description.supportedTiers().getFirst();
    Sylvester.forceTier(slowest);
    if (description.supportedTiers().size() > 1) {
      assertThat(Sylvester.describe().tierReason())
          .isEqualTo("forced; the best here is " + description.supportedTiers().getLast());
    }
  }

  @ParameterizedTest
  @EnumSource
  void statusIsThatOfTheLibrary(Status status) throws ReflectiveOperationException {
    assertThat(SylvesterFfi.class.getMethod("SYL_" + status.name()).invoke(null))
        .isEqualTo(status.code());
    assertThat(Status.of(status.code())).isSameAs(status);
  }

  @Test
  void unknownStatusIsABug() {
    assertThat(Status.of(77)).isSameAs(Status.INTERNAL);
    assertThat(Status.of(-1)).isSameAs(Status.INTERNAL);
  }
}
