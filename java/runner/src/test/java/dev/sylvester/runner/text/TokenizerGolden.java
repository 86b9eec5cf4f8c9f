package dev.sylvester.runner.text;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.sylvester.runner.format.GgufFile;
import dev.sylvester.runner.format.ModelFile;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;

/** The vocabularies and texts of tests/golden/tokenizers. */
final class TokenizerGolden {
  static final Path FOLDER =
      Path.of(System.getProperty("sylvester.root"), "tests", "golden", "tokenizers");

  private TokenizerGolden() {}

  static JsonNode read(String name) {
    try {
      return new ObjectMapper().readTree(FOLDER.resolve(name + ".json").toFile());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The texts, the long one last. */
  static List<String> texts() {
    JsonNode json = read("texts");
    List<String> texts = new ArrayList<>();
    json.get("texts").forEach(text -> texts.add(text.textValue()));
    JsonNode repeated = json.get("long");
    texts.add(repeated.get("text").textValue().repeat(repeated.get("times").intValue()));
    return texts;
  }

  static GgufVocabulary vocabulary(String name) {
    Path path = FOLDER.resolve(name + ".gguf");
    try (ModelFile file = ModelFile.open(path)) {
      return GgufVocabulary.of(path, ((GgufFile) file).metadata());
    }
  }

  static Tokenizer fromGguf(String name) {
    return Tokenizer.fromGguf(vocabulary(name));
  }

  static Tokenizer fromJson(String name) {
    return Tokenizer.fromJson(FOLDER.resolve(name + ".tokenizer.json"));
  }

  static int[] ints(JsonNode array) {
    int[] values = new int[array.size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = array.get(i).intValue();
    }
    return values;
  }

  static String sha256(int[] ids) {
    ByteBuffer bytes = ByteBuffer.allocate(ids.length * 4).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asIntBuffer().put(ids);
    try {
      return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes.array()));
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError(e);
    }
  }
}
