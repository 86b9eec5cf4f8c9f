package dev.sylvester.cuda;

import java.io.File;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/** Runs a main class of the tests in a process of its own, with settings of its own. */
record JavaProcess(int exit, String output) {

  /** With the tests' class path, less the jars whose names contain one of these. */
  static JavaProcess run(Class<?> main, Map<String, String> properties, String... jarsLeftOut)
      throws IOException, InterruptedException {
    List<String> arguments = new ArrayList<>();
    arguments.add("--enable-native-access=ALL-UNNAMED");
    arguments.add("-Dsylvester.native.path=" + System.getProperty("sylvester.native.path"));
    properties.forEach((name, value) -> arguments.add("-D" + name + "=" + value));
    arguments.add("-cp");
    arguments.add(
        Arrays.stream(System.getProperty("java.class.path").split(File.pathSeparator))
            .filter(entry -> Arrays.stream(jarsLeftOut).noneMatch(fileName(entry)::contains))
            .collect(Collectors.joining(File.pathSeparator)));
    arguments.add(main.getName());
    return run(arguments);
  }

  static JavaProcess run(List<String> arguments) throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin/java").toString());
    command.addAll(arguments);
    ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
    builder.environment().keySet().removeIf(name -> name.startsWith("SYLVESTER_"));
    Process process = builder.start();
    String output = new String(process.getInputStream().readAllBytes());
    return new JavaProcess(process.waitFor(), output);
  }

  private static String fileName(String entry) {
    return Path.of(entry).getFileName().toString();
  }
}
