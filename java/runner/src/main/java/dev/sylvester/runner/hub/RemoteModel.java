package dev.sylvester.runner.hub;

import java.io.IOException;
import java.net.URI;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;

/** A model file at an address of the user's choice, brought into the cache. */
final class RemoteModel {
  static final String FOLDER = "pulled";

  /** What a safetensors model needs beside it. */
  private static final List<String> REQUIRED_COMPANIONS = List.of("config.json", "tokenizer.json");

  private static final List<String> OPTIONAL_COMPANIONS =
      List.of("tokenizer_config.json", "generation_config.json", "chat_template.jinja");

  private RemoteModel() {}

  static boolean isModelName(String name) {
    return name.endsWith(".gguf") || name.endsWith(".safetensors");
  }

  /** Returns what {@code -m} takes: the .gguf file, or the folder of a safetensors model. */
  static Path pull(URI source, String sha256, Progress progress)
      throws IOException, InterruptedException {
    String scheme = source.getScheme();
    if (!List.of("http", "https", "file").contains(scheme)) {
      throw new IllegalArgumentException(
          "cannot pull %s: the address must begin with http, https or file".formatted(source));
    }
    String[] segments = source.getPath() == null ? new String[0] : source.getPath().split("/");
    String name = segments.length == 0 ? "" : segments[segments.length - 1];
    if (!isModelName(name)) {
      throw new IllegalArgumentException(
          "cannot pull %s: the path must end in .gguf or .safetensors".formatted(source));
    }
    // Two models of one name, from two addresses, must not meet.
    Path folder =
        ModelCache.models()
            .resolve(FOLDER)
            .resolve(Integer.toHexString(source.resolve(".").toString().hashCode()));
    Path target = folder.resolve(name);
    boolean fresh = !Files.exists(target);
    bring(source, target, sha256, progress);
    if (fresh) {
      requireModel(target, source);
    }
    if (name.endsWith(".gguf")) {
      return target;
    }
    for (String companion : REQUIRED_COMPANIONS) {
      bring(source.resolve(companion), folder.resolve(companion), null, Progress.NONE);
    }
    for (String companion : OPTIONAL_COMPANIONS) {
      try {
        bring(source.resolve(companion), folder.resolve(companion), null, Progress.NONE);
      } catch (NotFoundException e) {
        // This model has none.
      }
    }
    return folder;
  }

  private static void bring(URI source, Path target, String sha256, Progress progress)
      throws IOException, InterruptedException {
    if (!source.getScheme().equals("file")) {
      Download.fetch(source, target, sha256, progress);
    } else if (!Files.exists(target)) {
      Path from = Path.of(source);
      if (!Files.isRegularFile(from)) {
        throw new NotFoundException(source + ": no such file");
      }
      Files.createDirectories(target.getParent());
      Path part = target.resolveSibling(target.getFileName() + ".part");
      Files.copy(from, part, StandardCopyOption.REPLACE_EXISTING);
      if (sha256 != null) {
        Sha256.require(sha256, part, source.toString());
      }
      Files.move(part, target, StandardCopyOption.ATOMIC_MOVE);
    }
  }

  /** A server's error page is not a model, whatever its address ends in. */
  private static void requireModel(Path file, URI source) throws IOException {
    byte[] head;
    try (FileChannel channel = FileChannel.open(file)) {
      head = Channels.newInputStream(channel).readNBytes(9);
    }
    String text = new String(head, StandardCharsets.ISO_8859_1);
    boolean gguf = text.startsWith("GGUF");
    boolean safetensors = head.length == 9 && text.charAt(8) == '{';
    if (!(file.toString().endsWith(".gguf") ? gguf : safetensors)) {
      Files.delete(file);
      throw new IOException("%s is not a model file; it was discarded".formatted(source));
    }
  }
}
