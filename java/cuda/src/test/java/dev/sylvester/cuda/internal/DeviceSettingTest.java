package dev.sylvester.cuda.internal;

import static org.assertj.core.api.Assertions.assertThat;

import dev.sylvester.cuda.internal.DeviceSetting.Choice;
import dev.sylvester.kernels.Status;
import dev.sylvester.kernels.TestData;
import org.junit.jupiter.api.Test;

class DeviceSettingTest {
  @Test
  void propertyComesBeforeTheEnvironment() {
    assertThat(setting("cuda", "cpu")).isEqualTo(setting("cuda", null));
    assertThat(setting("cuda", "cpu").choice()).isEqualTo(Choice.CUDA);
    assertThat(setting("cuda", "cpu").source()).isEqualTo("-Dsylvester.device=cuda");
    assertThat(setting(" ", "emulator").choice()).isEqualTo(Choice.EMULATOR);
    assertThat(setting(null, "cpu").choice()).isEqualTo(Choice.CPU);
    assertThat(setting(null, "cpu").source()).isEqualTo("SYLVESTER_DEVICE=cpu");
    assertThat(setting(null, null).choice()).isEqualTo(Choice.AUTO);
    assertThat(setting("auto", "cuda").choice()).isEqualTo(Choice.AUTO);
  }

  @Test
  void onlyNamedDevicesAreForced() {
    for (Choice choice : Choice.values()) {
      assertThat(choice.forced())
          .as("%s", choice)
          .isEqualTo(choice == Choice.CUDA || choice == Choice.EMULATOR);
    }
  }

  @Test
  void unknownSettingIsAnError() {
    TestData.assertRefused(
        Status.BAD_VALUE,
        "-Dsylvester.device is \"gpu\", must be auto, cpu, cuda or emulator",
        () -> setting("gpu", null));
    TestData.assertRefused(
        Status.BAD_VALUE, "SYLVESTER_DEVICE is \"CUDA\"", () -> setting(null, "CUDA"));
  }

  private static DeviceSetting setting(String property, String environment) {
    return DeviceSetting.of(
        name -> name.equals("sylvester.device") ? property : null,
        name -> name.equals("SYLVESTER_DEVICE") ? environment : null);
  }
}
