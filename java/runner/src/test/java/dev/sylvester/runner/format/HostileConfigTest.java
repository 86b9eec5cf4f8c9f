package dev.sylvester.runner.format;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** A config.json that is malformed, contradicts itself, or asks for what is not supported. */
class HostileConfigTest {
  private static final String ROPE = "rope_parameters";

  @TempDir Path folder;

  private static Hostile<SafetensorsWriter> file(
      String name, Consumer<SafetensorsWriter> damage, String message) {
    return new Hostile<>(name, damage, message);
  }

  private static Hostile<SafetensorsWriter> value(String key, String json, String expected) {
    return file(
        key + " " + json,
        f -> f.set(key, json),
        "key '" + key + "' is " + json.replace('"', '\'') + ", expected " + expected);
  }

  private static Hostile<SafetensorsWriter> rope(String json, String message) {
    return file("rope " + json, f -> f.set(ROPE, json.replace('\'', '"')), message);
  }

  static Stream<Hostile<SafetensorsWriter>> sizes() {
    return Stream.of(
        file("no model type", f -> f.remove("model_type"), "key 'model_type' is missing"),
        value("model_type", "\"gpt2\"", "llama, mistral, qwen2, qwen3, Dream or llada"),
        value("model_type", "7", "a string"),
        value("hidden_act", "\"gelu\"", "silu"),
        file(
            "quantised",
            f -> f.set("quantization_config", "{}"),
            "key 'quantization_config': quantised safetensors are not supported"),
        file("no width", f -> f.remove("hidden_size"), "key 'hidden_size' is missing"),
        file("width null", f -> f.set("hidden_size", "null"), "key 'hidden_size' is missing"),
        value("hidden_size", "-8", "1 to 1048576"),
        value("hidden_size", "8.5", "an integer"),
        value("hidden_size", "1.0E300", "an integer"),
        file(
            "width of 100 digits",
            f -> f.set("hidden_size", "9".repeat(100)),
            "key 'hidden_size' is '" + "9".repeat(80) + "...', expected an integer"),
        value("hidden_size", "9223372036854775807", "1 to 1048576"),
        value("num_hidden_layers", "0", "1 to 4096"),
        value("num_hidden_layers", "2147483648", "1 to 4096"),
        value("num_hidden_layers", "true", "an integer"),
        value("num_attention_heads", "0", "1 to 4096"),
        value("num_attention_heads", "3", "a divisor of 8"),
        value("num_key_value_heads", "0", "1 to 4096"),
        file(
            "3 kv heads",
            f -> f.set("num_key_value_heads", "3"),
            "2 query heads are not a multiple of 3 key and value heads"),
        value("head_dim", "0", "1 to 1024"),
        file("odd head dimension", f -> f.set("head_dim", "3"), "head dimension 3 is odd"),
        value("intermediate_size", "0", "1 to 1048576"),
        value("vocab_size", "0", "1 to 16777216"),
        value("max_position_embeddings", "0", "1 to 1073741824"),
        value("rms_norm_eps", "0.0", "a finite number above 0"),
        value("rms_norm_eps", "-1.0E-5", "a finite number above 0"),
        file(
            "epsilon overflows",
            f -> f.set("rms_norm_eps", "1e999"),
            "key 'rms_norm_eps' is Infinity, expected a finite number above 0"),
        value("rms_norm_eps", "\"1\"", "a number"),
        value("tie_word_embeddings", "1", "true or false"),
        value("eos_token_id", "5", "a token id below 5"),
        value("eos_token_id", "-1", "a token id below 5"),
        file(
            "end token among others",
            f -> f.set("eos_token_id", "[1,99]"),
            "key 'eos_token_id' is 99, expected a token id below 5"),
        file(
            "end token nested",
            f -> f.set("eos_token_id", "[[1]]"),
            "key 'eos_token_id' is '[1]', expected an integer"),
        value("bos_token_id", "5", "a token id below 5"),
        value("mask_token_id", "5", "a token id below 5"));
  }

  static Stream<Hostile<SafetensorsWriter>> positions() {
    return Stream.of(
        file(
            "base 0",
            f -> f.set("rope_theta", "0"),
            "key 'rope_theta' is 0.0, expected a finite number above 0"),
        rope("[]", "key 'rope_parameters' is '[]', expected an object"),
        rope(
            "{'rope_type':'longrope'}",
            "key 'rope_parameters.rope_type' is 'longrope', expected default, linear, dynamic, yarn"
                + " or llama3"),
        rope("{'rope_type':'linear'}", "key 'rope_parameters.factor' is missing"),
        rope(
            "{'rope_type':'linear','factor':-1}",
            "key 'rope_parameters.factor' is -1.0, expected a finite number above 0"),
        rope(
            "{'rope_type':'yarn','factor':2,'truncate':false}",
            "key 'rope_parameters.truncate' is false, expected true"),
        rope(
            "{'rope_type':'yarn','factor':2,'beta_fast':'x'}",
            "key 'rope_parameters.beta_fast' is 'x', expected a number"),
        rope(
            "{'rope_type':'llama3','factor':8,'low_freq_factor':4,'high_freq_factor':4}",
            "key 'rope_parameters.high_freq_factor' is 4.0, expected more than low_freq_factor,"
                + " 4.0"),
        rope(
            "{'rope_type':'default','partial_rotary_factor':2}",
            "8 rotated dimensions do not fit head dimension 4"),
        rope(
            "{'rope_type':'default','partial_rotary_factor':0.1}",
            "0 rotated dimensions do not fit head dimension 4"),
        file(
            "infinite rotated part",
            f -> f.set("partial_rotary_factor", "1e300"),
            "2147483647 rotated dimensions do not fit head dimension 4"),
        file(
            "window 0",
            f -> f.set("model_type", "\"mistral\"").set("sliding_window", "0"),
            "key 'sliding_window' is 0, expected 1 to 2147483647"),
        file(
            "unknown layer type",
            f -> window(f, "[\"linear_attention\"]"),
            "key 'layer_types' is 'linear_attention', expected sliding_attention or"
                + " full_attention"),
        file(
            "layer type a number",
            f -> window(f, "[1]"),
            "key 'layer_types' is 1, expected sliding_attention or full_attention"),
        file(
            "a layer type too many",
            f -> window(f, "[\"full_attention\",\"full_attention\"]"),
            "key 'layer_types' is '[\"full_attention\",\"full_attention\"]', expected 1 layer"
                + " types"));
  }

  private static void window(SafetensorsWriter folder, String layerTypes) {
    folder
        .set("model_type", "\"qwen2\"")
        .set("use_sliding_window", "true")
        .set("layer_types", layerTypes);
  }

  @ParameterizedTest
  @MethodSource({"sizes", "positions"})
  void hostile(Hostile<SafetensorsWriter> hostile) throws IOException {
    SafetensorsWriter writer = SafetensorsWriter.llama();
    hostile.damage().accept(writer);
    writer.write(folder);
    hostile.expect(folder, folder.resolve("config.json"));
  }

  static Stream<Hostile<SafetensorsWriter>> generation() {
    return Stream.of(
        generation("", "is not a JSON object"),
        generation(
            "{",
            "malformed JSON at line 1, column 2: Unexpected end-of-input: expected close marker for"
                + " Object (start marker at [Sour..."),
        generation(
            "{\"eos_token_id\": 77}", "key 'eos_token_id' is 77, expected a token id below 5"));
  }

  private static Hostile<SafetensorsWriter> generation(String json, String message) {
    return file(json, f -> f.files.put("generation_config.json", json), message);
  }

  @ParameterizedTest
  @MethodSource("generation")
  void hostileGenerationConfig(Hostile<SafetensorsWriter> hostile) throws IOException {
    SafetensorsWriter writer = SafetensorsWriter.llama();
    hostile.damage().accept(writer);
    writer.write(folder);
    hostile.expect(folder, folder.resolve("generation_config.json"));
  }

  @Test
  void malformedText() {
    assertMalformed("", "is not a JSON object");
    assertMalformed("[]", "is not a JSON object");
    assertMalformed(
        "{\"a\": NaN}",
        "malformed JSON at line 1, column 10: Non-standard token 'NaN': enable"
            + " `JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS` to ...");
    assertMalformed(
        "{\"a\":1,\"a\":2}", "malformed JSON at line 1, column 11: Duplicate field 'a'");
    assertMalformed(
        "{} {}",
        "malformed JSON at line 1, column 4: Trailing token (of type START_OBJECT) found after"
            + " value (bound as `com.fasterxml...");
    assertMalformed(
        "{\"a\":".repeat(10000),
        "malformed JSON: Document nesting depth (33) exceeds the maximum allowed (32, from"
            + " `StreamReadCon...");
  }

  private static void assertMalformed(String json, String message) {
    Path file = Path.of("config.json");
    assertThatThrownBy(() -> JsonSettings.parse(file, json.getBytes(StandardCharsets.UTF_8)))
        .isInstanceOf(ModelFormatException.class)
        .hasMessage(file + ": " + message)
        .satisfies(e -> assertThat(e.getMessage()).hasLineCount(1));
  }
}
