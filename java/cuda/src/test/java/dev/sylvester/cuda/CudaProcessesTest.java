package dev.sylvester.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import dev.sylvester.kernels.Sylvester;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What is decided once in a process: the library, the device, and what else is there. */
class CudaProcessesTest {
  private static final String EMULATOR = System.getProperty("sylvester.cuda.path");
  private static final String ON_CPU = "[5.0, -1.0, -2.0, 0.0] from CPU";
  private static final String ON_CUDA = "[5.0, -1.0, -2.0, 0.0] from CUDA";

  @TempDir Path folder;

  // ---- auto

  @Test
  void withoutALibraryTheProcessorGoesOn() throws Exception {
    JavaProcess process = run(Map.of("sylvester.cuda.path", folder + "/missing.so"));
    assertThat(process.output().lines())
        .containsExactly(
            "gpu       none: there is no libsylvester_cuda.so that loads",
            "not used  -Dsylvester.cuda.path names "
                + folder
                + "/missing.so: there is no such file",
            "count 0",
            "refused UNSUPPORTED",
            "refused UNSUPPORTED",
            ON_CPU);
    assertThat(process.exit()).isZero();
  }

  @Test
  void withoutADriverTheProcessorGoesOn() throws Exception {
    JavaProcess process = run(Map.of("sylvester.cuda.path", libraryWithoutDriver()));
    assertThat(process.output())
        .containsPattern(
            "gpu       none: (no driver was found: )?syl_cuda_device_count: none here\n")
        .contains("count 0\n", ON_CPU);
    assertThat(process.exit()).isZero();
  }

  @Test
  void theEmulatorIsNotTakenForADevice() throws Exception {
    JavaProcess process = run(Map.of("sylvester.cuda.path", EMULATOR));
    assertThat(process.output())
        .contains("gpu       none: the library is the emulator")
        .contains("count 0\n", ON_CPU);
    assertThat(process.exit()).isZero();
  }

  // ---- cpu

  @Test
  void cpuLooksForNoLibrary() throws Exception {
    JavaProcess process = run(Map.of("sylvester.device", "cpu", "sylvester.cuda.path", EMULATOR));
    assertThat(process.output().lines())
        .containsExactly(
            "gpu       none: switched off by -Dsylvester.device=cpu",
            "count 0",
            "refused UNSUPPORTED",
            "refused UNSUPPORTED",
            ON_CPU);
    assertThat(process.exit()).isZero();
  }

  // ---- cuda

  @Test
  void forcedCudaFailsWithoutALibrary() throws Exception {
    assertForcedCudaFails(
        folder + "/missing.so",
        "there is no libsylvester_cuda.so that loads (-Dsylvester.cuda.path names "
            + folder
            + "/missing.so: there is no such file)");
  }

  @Test
  void forcedCudaFailsWithoutADriver() throws Exception {
    boolean driver = Files.exists(Path.of("/proc/driver/nvidia/version"));
    assertForcedCudaFails(
        libraryWithoutDriver(),
        (driver ? "" : "no driver was found: ") + "syl_cuda_device_count: none here");
  }

  @Test
  void forcedCudaFailsOnTheEmulator() throws Exception {
    assertForcedCudaFails(
        EMULATOR, "the library is the emulator, which -Dsylvester.device=emulator asks for");
  }

  @Test
  void otherAbiVersionIsRefused() throws Exception {
    assertForcedCudaFails(
        compile("int syl_cuda_abi_version(void) { return 77; }"),
        "there is no libsylvester_cuda.so that loads (-Dsylvester.cuda.path names "
            + folder
            + "/library.so: its ABI version is 77, this Java code needs 1;"
            + " use a library and a jar of the same release)");
  }

  private void assertForcedCudaFails(String library, String reason) throws Exception {
    JavaProcess process = run(Map.of("sylvester.device", "cuda", "sylvester.cuda.path", library));
    assertThat(process.output())
        .contains("gpu       none: " + reason.replaceAll(" \\(.*", "") + "\n")
        .containsOnlyOnce(
            "dev.sylvester.kernels.SylvesterException: -Dsylvester.device=cuda: no CUDA device: "
                + reason)
        .doesNotContain("from CPU");
    assertThat(process.exit()).isEqualTo(1);
  }

  // ---- emulator

  @Test
  void forcedEmulatorComputes() throws Exception {
    JavaProcess process =
        run(Map.of("sylvester.device", "emulator", "sylvester.cuda.path", EMULATOR));
    assertThat(process.output()).contains("cuda      " + EMULATOR).contains("count 1\n" + ON_CUDA);
    assertThat(process.exit()).isZero();
  }

  @Test
  void unknownSettingFails() throws Exception {
    JavaProcess process = run(Map.of("sylvester.device", "tpu", "sylvester.cuda.path", EMULATOR));
    assertThat(process.output())
        .contains("-Dsylvester.device is \"tpu\", must be auto, cpu, cuda or emulator");
    assertThat(process.exit()).isEqualTo(1);
  }

  @Test
  void namedModulesNeedNoMoreThanNativeAccess() throws Exception {
    Path probe =
        Files.writeString(
            folder.resolve("Probe.java"),
            """
            import dev.sylvester.cuda.*;

            public class Probe {
              public static void main(String[] args) {
                float[] values = {1, 2};
                try (DeviceMemory memory = DeviceMemory.of(CudaDevice.of(0), values)) {
                  memory.copyTo(values, null);
                }
                Module module = DeviceMemory.class.getModule();
                System.out.println(module + " " + values[1] + " " + CudaPresets.available());
              }
            }
            """);
    JavaProcess process =
        JavaProcess.run(
            List.of(
                "--illegal-native-access=deny",
                "--enable-native-access=dev.sylvester.kernels,dev.sylvester.cuda",
                "-Dsylvester.device=emulator",
                "-Dsylvester.cuda.path=" + EMULATOR,
                "-p",
                location(Sylvester.class) + File.pathSeparator + location(CudaDevice.class),
                "--add-modules",
                "dev.sylvester.cuda",
                probe.toString()));
    assertThat(process.output().strip()).isEqualTo("module dev.sylvester.cuda 2.0 false");
  }

  private static String location(Class<?> type) {
    return type.getProtectionDomain().getCodeSource().getLocation().getPath();
  }

  // ---- JavaCPP

  @Test
  void viewsNeedNoNativePart() throws Exception {
    assertThat(presets("-linux-x86_64.jar").output().lines())
        .containsExactly("available true", "done", "done", "done");
  }

  @Test
  void missingPresetsGiveOneMessage() throws Exception {
    String refusal =
        "dev.sylvester.kernels.SylvesterException: CudaPresets: there is no class %s;"
            + " add org.bytedeco:cuda-platform to the class path";
    String pointer = refusal.formatted("org.bytedeco.javacpp.Pointer");
    assertThat(presets("javacpp-", "cuda-1").output().lines())
        .containsExactly("available false", pointer, pointer, pointer);
    String stream = refusal.formatted("org.bytedeco.cuda.cudart.CUstream_st");
    assertThat(presets("cuda-1").output().lines())
        .containsExactly("available false", stream, stream, stream);
  }

  private static JavaProcess presets(String... jarsLeftOut) throws Exception {
    JavaProcess process =
        JavaProcess.run(
            PresetsMain.class,
            Map.of("sylvester.device", "emulator", "sylvester.cuda.path", EMULATOR),
            jarsLeftOut);
    assertThat(process.exit()).as(process.output()).isZero();
    return process;
  }

  // ----

  private static JavaProcess run(Map<String, String> properties) throws Exception {
    return JavaProcess.run(FallbackMain.class, properties);
  }

  private String libraryWithoutDriver() throws Exception {
    return compile(
        """
        int syl_cuda_abi_version(void) { return 1; }
        int syl_cuda_device_count(int* count) { return 6; }
        int syl_cuda_device_use(int device) { return 6; }
        const char* syl_cuda_last_error(void) {
          return "syl_cuda_device_count: none here";
        }
        """);
  }

  /** A library of these C functions; the compiler that builds the project is there. */
  private String compile(String source) throws IOException, InterruptedException {
    Path file = Files.writeString(folder.resolve("library.c"), source);
    Path library = folder.resolve("library.so");
    Process compiler =
        new ProcessBuilder("cc", "-shared", "-fPIC", "-o", library.toString(), file.toString())
            .inheritIO()
            .start();
    assertThat(compiler.waitFor()).isZero();
    return library.toString();
  }
}
