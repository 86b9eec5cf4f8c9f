package dev.sylvester.runner.format;

import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Optional;

/**
 * Entry points of the fuzzer: everything that reads bytes of a file somebody else made. Each target
 * accepts any bytes and fails only when something other than a well-formed {@link
 * ModelFormatException} comes out.
 */
public final class HeaderFuzzer {
  private static final Path FILE = Path.of("fuzz");
  private static final int MOST_MESSAGE = 600;

  private HeaderFuzzer() {}

  /** A GGUF file: header, metadata values of every type, tensors, configuration. */
  public static final class Gguf {
    private Gguf() {}

    public static void fuzzerTestOneInput(byte[] bytes) {
      MemorySegment data = MemorySegment.ofArray(bytes).asReadOnly();
      expectOnlyFormatErrors(
          () -> {
            GgufHeader header = GgufHeader.parse(FILE, data);
            GgufMetadata metadata = header.metadata();
            for (String key : metadata.keys()) {
              expectOnlyFormatErrors(() -> metadata.integer(key));
              expectOnlyFormatErrors(() -> metadata.number(key));
              expectOnlyFormatErrors(() -> metadata.bool(key));
              expectOnlyFormatErrors(() -> metadata.string(key));
              expectOnlyFormatErrors(() -> metadata.strings(key));
              expectOnlyFormatErrors(() -> metadata.integers(key));
              expectOnlyFormatErrors(() -> metadata.numbers(key));
            }
            GgufConfig.read(metadata, GgufFile.tensors(FILE, header, data));
          });
    }
  }

  /** A safetensors file: header and tensors. */
  public static final class Safetensors {
    private Safetensors() {}

    public static void fuzzerTestOneInput(byte[] bytes) {
      MemorySegment data = MemorySegment.ofArray(bytes).asReadOnly();
      expectOnlyFormatErrors(
          () -> {
            for (TensorInfo info : SafetensorsHeader.parse(FILE, data)) {
              Tensor tensor = info.tensor(FILE, info.name(), data);
              expectOnlyFormatErrors(() -> tensor.require(1, 1));
            }
          });
    }
  }

  /** A config.json, read as generation_config.json too. */
  public static final class Config {
    private Config() {}

    public static void fuzzerTestOneInput(byte[] bytes) {
      expectOnlyFormatErrors(
          () -> {
            JsonSettings config = JsonSettings.parse(FILE, bytes);
            HuggingFaceConfig.read(config, Optional.of(config));
          });
    }
  }

  private static void expectOnlyFormatErrors(Runnable parser) {
    try {
      parser.run();
    } catch (ModelFormatException e) {
      String message = e.getMessage();
      if (!message.startsWith(FILE + ": ")
          || message.length() > MOST_MESSAGE
          || message.chars().anyMatch(Character::isISOControl)) {
        throw new AssertionError("not one short line: " + message, e);
      }
    }
  }
}
