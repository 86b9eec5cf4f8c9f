package dev.sylvester.tests;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/** The command line as the launcher starts it, in a process of its own. */
final class CommandLine {
  private static final long MINUTES = 10;

  private CommandLine() {}

  record Result(int status, String out, String err) {}

  static Result run(String... arguments) throws IOException, InterruptedException {
    return run(List.of(), arguments);
  }

  static Result run(List<String> jvmOptions, String... arguments)
      throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(jvmOptions);
    command.add("-jar");
    command.add(jar().toString());
    command.addAll(List.of(arguments));
    Path err = Files.createTempFile("sylvester-tests", ".err");
    Path out = Files.createTempFile("sylvester-tests", ".out");
    try {
      Process process =
          new ProcessBuilder(command)
              .redirectInput(ProcessBuilder.Redirect.from(Path.of("/dev/null").toFile()))
              .redirectError(err.toFile())
              .redirectOutput(out.toFile())
              .start();
      if (!process.waitFor(MINUTES, TimeUnit.MINUTES)) {
        process.destroyForcibly();
        throw new IOException(String.join(" ", command) + " ran longer than " + MINUTES + " min");
      }
      return new Result(process.exitValue(), read(out), read(err));
    } finally {
      Files.delete(out);
      Files.delete(err);
    }
  }

  private static String read(Path file) throws IOException {
    return Files.readString(file, StandardCharsets.UTF_8);
  }

  private static Path jar() throws IOException {
    try (Stream<Path> files = Files.list(Project.path("java/runner/target"))) {
      return files
          .filter(f -> f.getFileName().toString().endsWith("-cli.jar"))
          .findFirst()
          .orElseThrow();
    }
  }
}
