package dev.sylvester.runner.format;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Files written by the gguf and safetensors packages and by transformers. */
class GoldenFormatsTest {
  private static final Path ROOT = Path.of(System.getProperty("sylvester.root"));
  private static final Path FORMATS = ROOT.resolve("tests/golden/formats");

  private static JsonNode expected(String file) throws IOException {
    return new ObjectMapper().readTree(FORMATS.resolve("expected.json").toFile()).get(file);
  }

  @ParameterizedTest
  @ValueSource(strings = {"every-type.gguf", "aligned-256.gguf", "safetensors"})
  void tensors(String file) throws IOException, NoSuchAlgorithmException {
    JsonNode expected = expected(file).get("tensors");
    try (ModelFile model = ModelFile.open(FORMATS.resolve(file))) {
      assertThat(model.tensors()).hasSize(expected.size());
      for (JsonNode tensor : expected) {
        String name = tensor.get("name").textValue();
        Tensor read = model.find(GgufNames.canonical(name)).orElseThrow();
        assertThat(read.nameInFile()).isEqualTo(name);
        assertThat(read.type().name()).as(name).isEqualTo(tensor.get("type").textValue());
        assertThat(read.shape()).as(name).isEqualTo(longs(tensor.get("shape")));
        byte[] data = read.data().toArray(ValueLayout.JAVA_BYTE);
        byte[] hash = MessageDigest.getInstance("SHA-256").digest(data);
        assertThat(HexFormat.of().formatHex(hash))
            .as(name)
            .isEqualTo(tensor.get("sha256").textValue());
      }
    }
  }

  private static long[] longs(JsonNode array) {
    long[] longs = new long[array.size()];
    for (int i = 0; i < longs.length; i++) {
      longs[i] = array.get(i).longValue();
    }
    return longs;
  }

  @Test
  void metadata() throws IOException {
    JsonNode expected = expected("every-type.gguf");
    try (ModelFile model = ModelFile.open(FORMATS.resolve("every-type.gguf"))) {
      GgufMetadata metadata = ((GgufFile) model).metadata();
      expected
          .get("scalars")
          .properties()
          .forEach(e -> assertScalar(metadata, e.getKey(), e.getValue()));
      expected
          .get("arrays")
          .properties()
          .forEach(e -> assertArray(metadata, e.getKey(), e.getValue()));
      assertThat(metadata.strings("tokenizer.ggml.tokens"))
          .isEqualTo(strings(expected.get("vocabulary")));
      assertThat(model.config().eosIds()).containsExactly(1, 2);
      LlamaTensors.requireAll(model);
    }
  }

  @Test
  void bigEndian() {
    Path file = FORMATS.resolve("big-endian.gguf");
    assertThatThrownBy(() -> ModelFile.open(file))
        .isInstanceOf(ModelFormatException.class)
        .hasMessage(file + ": header: big-endian files are not supported");
  }

  private static void assertScalar(GgufMetadata metadata, String type, JsonNode value) {
    String key = "test.scalar." + type;
    switch (type) {
      case "BOOL" -> assertThat(metadata.bool(key)).hasValue(value.booleanValue());
      case "STRING" -> assertThat(metadata.string(key)).hasValue(value.textValue());
      case "FLOAT32" -> assertThat(metadata.number(key)).hasValue((float) value.doubleValue());
      case "FLOAT64" -> assertThat(metadata.number(key)).hasValue(value.doubleValue());
      default -> {
        assertThat(metadata.integer(key)).as(type).hasValue(value.longValue());
        assertThat(metadata.number(key)).as(type).hasValue(value.longValue());
      }
    }
  }

  private static void assertArray(GgufMetadata metadata, String type, JsonNode value) {
    String key = "test.array." + type;
    assertThat(metadata.count(key)).as(type).isEqualTo(value.size());
    switch (type) {
      case "STRING" -> assertThat(metadata.strings(key)).isEqualTo(strings(value));
      case "FLOAT32", "FLOAT64" ->
          assertThat(metadata.numbers(key))
              .containsExactly(value.get(0).floatValue(), value.get(1).floatValue());
      default ->
          assertThat(metadata.integers(key))
              .as(type)
              .containsExactly(value.get(0).intValue(), value.get(1).intValue());
    }
  }

  private static List<String> strings(JsonNode array) {
    List<String> strings = new ArrayList<>();
    array.forEach(s -> strings.add(s.textValue()));
    return strings;
  }

  /** Models that transformers and gguf wrote for the tests of logits, and our own. */
  static List<Path> models() throws IOException {
    List<Path> models = new ArrayList<>();
    for (String folder :
        new String[] {"tests/golden/checkpoints", "tests/golden/gguf", "models/gsm-mini"}) {
      try (Stream<Path> paths = Files.list(ROOT.resolve(folder))) {
        paths
            .filter(p -> p.toString().endsWith(".gguf") || Files.exists(p.resolve("config.json")))
            .sorted()
            .forEach(models::add);
      }
    }
    return models;
  }

  @ParameterizedTest
  @MethodSource("models")
  void everyModelHasItsTensors(Path path) {
    try (ModelFile model = ModelFile.open(path)) {
      LlamaTensors.requireAll(model);
    }
  }
}
