package dev.sylvester.runner.format;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Finds out which format a path holds. */
final class ModelFiles {
  static final String CONFIG = "config.json";
  private static final byte[] GGUF_MAGIC = "GGUF".getBytes(StandardCharsets.US_ASCII);

  private ModelFiles() {}

  static ModelFile open(Path path) {
    if (Files.isDirectory(path)) {
      return Files.exists(path.resolve(CONFIG))
          ? SafetensorsFolder.open(path)
          : GgufFile.open(onlyGguf(path));
    }
    if (isGguf(path)) {
      return GgufFile.open(path);
    }
    if (path.toString().endsWith(".safetensors")) {
      return SafetensorsFolder.openFile(path);
    }
    throw new ModelFormatException(
        path, Files.exists(path) ? "neither a GGUF nor a safetensors file" : "no such file");
  }

  static ModelFormatException unreadable(Path file, IOException e) {
    return new ModelFormatException(
        file, e instanceof NoSuchFileException ? "no such file" : "cannot be read: " + e, e);
  }

  private static boolean isGguf(Path path) {
    if (path.toString().endsWith(".gguf")) {
      return true;
    }
    if (!Files.isRegularFile(path)) {
      return false;
    }
    try (InputStream in = Files.newInputStream(path)) {
      return Arrays.equals(in.readNBytes(GGUF_MAGIC.length), GGUF_MAGIC);
    } catch (IOException e) {
      throw unreadable(path, e);
    }
  }

  private static Path onlyGguf(Path folder) {
    List<Path> found = new ArrayList<>();
    try (DirectoryStream<Path> files = Files.newDirectoryStream(folder, "*.gguf")) {
      files.forEach(found::add);
    } catch (IOException e) {
      throw unreadable(folder, e);
    }
    if (found.size() != 1) {
      throw new ModelFormatException(
          folder, "holds no " + CONFIG + " and " + found.size() + " .gguf files, expected one");
    }
    return found.getFirst();
  }
}
