package dev.sylvester.kernels.internal;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.File;
import java.io.IOException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Native jars, tiny libraries and Java processes for the loader's tests. */
final class LibraryFixture {
  static final Path LIBRARY = Path.of(System.getProperty("sylvester.native.path"));
  static final String RESOURCE = LibraryKind.CPU.resource();

  private LibraryFixture() {}

  /** Lays out the content of a native jar in a folder. */
  static Path nativeJar(Path folder, Path library, String sha256) throws IOException {
    Path file = folder.resolve(RESOURCE);
    Files.createDirectories(file.getParent());
    Files.copy(library, file);
    Files.writeString(Path.of(file + ".sha256"), sha256);
    return folder;
  }

  static ClassLoader classPath(Path... folders) throws IOException {
    List<URL> urls = new ArrayList<>();
    for (Path folder : folders) {
      urls.add(folder.toUri().toURL());
    }
    return new URLClassLoader(urls.toArray(URL[]::new), null);
  }

  /**
   * A search that sees only the given properties and class path; the user's home is in the folder.
   */
  static LibrarySearch search(Path home, ClassLoader resources, Map<String, String> properties) {
    return search(home, resources, properties, NativeLibrary::open);
  }

  static LibrarySearch search(
      Path home,
      ClassLoader resources,
      Map<String, String> properties,
      LibrarySearch.Opener opener) {
    Map<String, String> defaults =
        Map.of(
            "user.home", home.toString(),
            "java.io.tmpdir", home.resolve("tmp").toString(),
            "user.name", "someone");
    return new LibrarySearch(
        LibraryKind.CPU,
        name -> properties.getOrDefault(name, defaults.get(name)),
        name -> null,
        resources,
        home.resolve("code"),
        opener);
  }

  /** Compiles a library from C++ source; the compiler that builds the project is there. */
  static Path compile(Path folder, String name, String source)
      throws IOException, InterruptedException {
    Path file = Files.writeString(folder.resolve(name + ".cc"), source);
    Path library = folder.resolve(name + ".so");
    run(List.of("c++", "-shared", "-fPIC", "-o", library.toString(), file.toString()), Map.of());
    return library;
  }

  static Process startJava(Path classPathEntry, List<String> options) throws IOException {
    return startJava(classPathEntry, options, Map.of());
  }

  static Process startJava(
      Path classPathEntry, List<String> options, Map<String, String> environment)
      throws IOException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin/java").toString());
    command.addAll(List.of("--enable-native-access=ALL-UNNAMED", "--illegal-native-access=deny"));
    command.addAll(options);
    command.add("-cp");
    command.add(
        String.join(
            File.pathSeparator,
            classes().toString(),
            testClasses().toString(),
            classPathEntry.toString()));
    command.add(DescribeMain.class.getName());
    return start(command, environment);
  }

  static Path classes() {
    return location(NativeLibrary.class);
  }

  static Path testClasses() {
    return location(LibraryFixture.class);
  }

  private static Path location(Class<?> type) {
    return Path.of(type.getProtectionDomain().getCodeSource().getLocation().getPath());
  }

  static Process start(List<String> command, Map<String, String> environment) throws IOException {
    ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
    builder.environment().keySet().removeIf(name -> name.startsWith("SYLVESTER_"));
    builder.environment().putAll(environment);
    return builder.start();
  }

  /** Output of a process that must succeed. */
  static String run(List<String> command, Map<String, String> environment)
      throws IOException, InterruptedException {
    return output(start(command, environment), 0);
  }

  static String output(Process process, int expectedExit) throws IOException, InterruptedException {
    String output = new String(process.getInputStream().readAllBytes());
    assertThat(process.waitFor()).as(output).isEqualTo(expectedExit);
    return output;
  }
}
