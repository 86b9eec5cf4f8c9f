package dev.sylvester.kernels.internal;

import static dev.sylvester.kernels.internal.LibraryFixture.LIBRARY;
import static dev.sylvester.kernels.internal.LibraryFixture.nativeJar;
import static dev.sylvester.kernels.internal.LibraryFixture.output;
import static dev.sylvester.kernels.internal.LibraryFixture.startJava;
import static org.assertj.core.api.Assertions.assertThat;

import dev.sylvester.kernels.Sylvester;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The loader in several processes, threads and class loaders. */
class LibraryProcessesTest {
  @TempDir Path home;

  @Test
  void fourProcessesExtractAtOnce() throws Exception {
    String hash = LibraryCache.sha256(LIBRARY);
    Path jar = nativeJar(home.resolve("jar"), LIBRARY, hash);
    Path cache = home.resolve("cache");
    List<Process> processes = new ArrayList<>();
    for (int i = 0; i < 4; i++) {
      processes.add(startJava(jar, List.of("-Dsylvester.native.dir=" + cache)));
    }
    Path file = cache.resolve(hash).resolve(LibraryKind.CPU.fileName());
    for (Process process : processes) {
      assertThat(output(process, 0)).contains("library   " + file).contains("sha256    " + hash);
    }
    assertThat(file.getParent().toFile().list()).containsExactly(LibraryKind.CPU.fileName());
  }

  @Test
  void manyThreadsExtractAtOnce() throws Exception {
    String hash = LibraryCache.sha256(LIBRARY);
    ClassLoader jar = LibraryFixture.classPath(nativeJar(home.resolve("jar"), LIBRARY, hash));
    try (ExecutorService threads = Executors.newFixedThreadPool(8)) {
      List<Future<NativeLibrary>> libraries = new ArrayList<>();
      for (int i = 0; i < 8; i++) {
        libraries.add(threads.submit(() -> LibraryFixture.search(home, jar, Map.of()).load()));
      }
      for (Future<NativeLibrary> library : libraries) {
        assertThat(library.get().path()).startsWith(home.resolve(".cache/sylvester"));
        assertThat(library.get().sha256()).isEqualTo(hash);
      }
    }
  }

  @Test
  void propertyForcesTheTier() throws Exception {
    Path empty = Files.createDirectory(home.resolve("empty"));
    String library = "-Dsylvester.native.path=" + LIBRARY;
    String slowest = Sylvester.supportedTiers().getFirst();
    assertThat(output(startJava(empty, List.of(library, "-Dsylvester.tier=" + slowest)), 0))
        .contains("tier      " + slowest + " (");
    assertThat(output(startJava(empty, List.of(library, "-Dsylvester.tier=mmx")), 1))
        .contains("-Dsylvester.tier: syl_tier_force: name is \"mmx\"");
  }

  @Test
  void environmentSetsThreadsAndTier() throws Exception {
    Path empty = Files.createDirectory(home.resolve("empty"));
    List<String> library = List.of("-Dsylvester.native.path=" + LIBRARY);
    String slowest = Sylvester.supportedTiers().getFirst();
    Map<String, String> good = Map.of("SYLVESTER_THREADS", "7", "SYLVESTER_TIER", slowest);
    assertThat(output(startJava(empty, library, good), 0))
        .contains("threads   7")
        .contains("tier      " + slowest);
    for (String bad : List.of("0", "257", "many")) {
      assertThat(output(startJava(empty, library, Map.of("SYLVESTER_THREADS", bad)), 1))
          .contains("SYLVESTER_THREADS is ")
          .contains(bad)
          .contains("must be 1..256");
    }
  }

  @Test
  void twoClassLoadersLoadTheSameFile() throws Exception {
    URL[] classes = {LibraryFixture.classes().toUri().toURL()};
    ClassLoader platform = ClassLoader.getPlatformClassLoader();
    try (URLClassLoader first = new URLClassLoader(classes, platform);
        URLClassLoader second = new URLClassLoader(classes, platform)) {
      Class<?> one = first.loadClass(Sylvester.class.getName());
      Class<?> two = second.loadClass(Sylvester.class.getName());
      assertThat(one).isNotSameAs(two).isNotSameAs(Sylvester.class);
      for (Class<?> type : List.of(one, two)) {
        assertThat(type.getMethod("version").invoke(null)).isEqualTo(Sylvester.version());
      }
    }
  }

  @Test
  void namedModuleNeedsNoMoreThanNativeAccess() throws Exception {
    Path probe =
        Files.writeString(
            home.resolve("Probe.java"),
            """
            public class Probe {
              public static void main(String[] args) {
                Class<?> type = dev.sylvester.kernels.Sylvester.class;
                System.out.println(type.getModule() + " " + dev.sylvester.kernels.Sylvester.tier());
              }
            }
            """);
    String output =
        LibraryFixture.run(
            List.of(
                Path.of(System.getProperty("java.home"), "bin/java").toString(),
                "--illegal-native-access=deny",
                "--enable-native-access=dev.sylvester.kernels",
                "-Dsylvester.native.path=" + LIBRARY,
                "-p",
                LibraryFixture.classes().toString(),
                "--add-modules",
                "dev.sylvester.kernels",
                probe.toString()),
            Map.of());
    assertThat(output.strip())
        .isEqualTo("module dev.sylvester.kernels " + Sylvester.supportedTiers().getLast());
  }
}
