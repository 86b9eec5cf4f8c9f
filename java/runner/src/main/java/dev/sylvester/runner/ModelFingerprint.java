package dev.sylvester.runner;

import dev.sylvester.runner.format.AdapterFolder;
import dev.sylvester.runner.format.ModelConfig;
import dev.sylvester.runner.format.ModelFile;
import dev.sylvester.runner.format.RopeConfig;
import dev.sylvester.runner.format.Tensor;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.List;

/** Tells models apart without reading all of their weights. */
final class ModelFingerprint {
  private static final long BYTES_OF_A_TENSOR = 256;

  private ModelFingerprint() {}

  /**
   * SHA-256 of the configuration, of name, type, shape and first bytes of every tensor, and of
   * scale and files of every adapter.
   */
  static String of(ModelFile file, List<Adapter> adapters) {
    MessageDigest digest;
    try {
      digest = MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every Java platform has SHA-256", e);
    }
    ModelConfig c = file.config();
    RopeConfig rope = c.rope();
    String config =
        "%s %d %d %d %s %s %s"
            .formatted(
                c.architecture(),
                c.heads(),
                c.kvHeads(),
                c.headDim(),
                rope.kind(),
                rope.theta(),
                rope.factor());
    digest.update(config.getBytes(StandardCharsets.UTF_8));
    file.tensors().stream()
        .sorted(Comparator.comparing(Tensor::name))
        .forEach(
            tensor -> {
              digest.update(tensor.toString().getBytes(StandardCharsets.UTF_8));
              long bytes = Math.min(BYTES_OF_A_TENSOR, tensor.data().byteSize());
              digest.update(tensor.data().asSlice(0, bytes).asByteBuffer());
            });
    for (Adapter adapter : adapters) {
      digest.update(Float.toString(adapter.scale()).getBytes(StandardCharsets.UTF_8));
      for (Path part : AdapterFolder.files(adapter.folder())) {
        try {
          digest.update(Files.readAllBytes(part));
        } catch (IOException e) {
          throw new UncheckedIOException(e);
        }
      }
    }
    return HexFormat.of().formatHex(digest.digest());
  }
}
