package dev.sylvester.runner.format;

import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.Set;
import java.util.TreeSet;

/**
 * Named values of a model file: GGUF metadata or config.json. A value of the wrong type is an
 * error; an absent one is not, unless required.
 */
abstract sealed class Settings permits GgufMetadata, JsonSettings {
  private final Path file;
  private final String prefix;

  /**
   * @param prefix put before keys in messages
   */
  Settings(Path file, String prefix) {
    this.file = file;
    this.prefix = prefix;
  }

  final Path file() {
    return file;
  }

  /** Whether the key is there with a value. */
  public abstract boolean has(String key);

  public abstract OptionalLong integer(String key);

  public abstract OptionalDouble number(String key);

  public abstract Optional<Boolean> bool(String key);

  public abstract Optional<String> string(String key);

  final String requireString(String key) {
    return string(key).orElseThrow(() -> missing(key));
  }

  /** A count between 1 and {@code most}. */
  final int requireSize(String key, int most) {
    return checkSize(key, integer(key).orElseThrow(() -> missing(key)), most);
  }

  final int size(String key, int most, int otherwise) {
    return has(key) ? requireSize(key, most) : otherwise;
  }

  private int checkSize(String key, long value, int most) {
    if (value < 1 || value > most) {
      throw unexpected(key, value, "1 to " + most);
    }
    return (int) value;
  }

  /** A finite number above zero. */
  final double positive(String key, double otherwise) {
    double value = number(key).orElse(otherwise);
    if (!(value > 0 && value < Double.POSITIVE_INFINITY)) {
      throw unexpected(key, value, "a finite number above 0");
    }
    return value;
  }

  final double requirePositive(String key) {
    if (!has(key)) {
      throw missing(key);
    }
    return positive(key, 0);
  }

  /** A token id below {@code vocabSize}, or -1. */
  final int tokenId(String key, int vocabSize) {
    OptionalLong id = integer(key);
    return id.isPresent() ? checkTokenId(key, id.getAsLong(), vocabSize) : -1;
  }

  final int checkTokenId(String key, long id, int vocabSize) {
    if (id < 0 || id >= vocabSize) {
      throw unexpected(key, id, "a token id below " + vocabSize);
    }
    return (int) id;
  }

  /** The token ids of those keys that are there. */
  final Set<Integer> tokenIds(int vocabSize, String... keys) {
    Set<Integer> ids = new TreeSet<>();
    for (String key : keys) {
      if (has(key)) {
        ids.add(tokenId(key, vocabSize));
      }
    }
    return ids;
  }

  final ModelFormatException missing(String key) {
    return error("key " + ModelFormatException.quote(prefix + key) + " is missing");
  }

  final ModelFormatException unexpected(String key, Object shown, String expected) {
    return error(
        "key "
            + ModelFormatException.quote(prefix + key)
            + " is "
            + shown
            + ", expected "
            + expected);
  }

  final ModelFormatException error(String problem) {
    return new ModelFormatException(file, problem);
  }
}
