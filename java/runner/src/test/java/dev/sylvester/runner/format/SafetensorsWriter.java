package dev.sylvester.runner.format;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.UnaryOperator;

/** Writes small model folders, as wrong as a test wants them. */
final class SafetensorsWriter {
  /** The description of each tensor in the header, by name. */
  final Map<String, String> tensors = new LinkedHashMap<>();

  final Map<String, String> config = new LinkedHashMap<>();

  /** Other files of the folder. */
  final Map<String, String> files = new LinkedHashMap<>();

  String name = "model.safetensors";
  int dataBytes;
  Long headerLength;
  UnaryOperator<String> header = UnaryOperator.identity();
  UnaryOperator<byte[]> edit = UnaryOperator.identity();

  /** One layer of width 8 with two heads, one kv head, feed-forward 12 and 5 tokens. */
  static SafetensorsWriter llama() {
    SafetensorsWriter folder = new SafetensorsWriter();
    folder
        .set("model_type", "\"llama\"")
        .set("num_hidden_layers", "1")
        .set("hidden_size", "8")
        .set("num_attention_heads", "2")
        .set("num_key_value_heads", "1")
        .set("intermediate_size", "12")
        .set("vocab_size", "5")
        .set("max_position_embeddings", "16")
        .set("tie_word_embeddings", "true")
        .set("eos_token_id", "1");
    String layer = "model.layers.0.";
    return folder
        .add("model.embed_tokens.weight", 5, 8)
        .add("model.norm.weight", 8)
        .add(layer + "input_layernorm.weight", 8)
        .add(layer + "self_attn.q_proj.weight", 8, 8)
        .add(layer + "self_attn.k_proj.weight", 4, 8)
        .add(layer + "self_attn.v_proj.weight", 4, 8)
        .add(layer + "self_attn.o_proj.weight", 8, 8)
        .add(layer + "post_attention_layernorm.weight", 8)
        .add(layer + "mlp.gate_proj.weight", 12, 8)
        .add(layer + "mlp.up_proj.weight", 12, 8)
        .add(layer + "mlp.down_proj.weight", 8, 12);
  }

  /** A value of config.json, as JSON. */
  SafetensorsWriter set(String key, String json) {
    config.put(key, json);
    return this;
  }

  SafetensorsWriter remove(String key) {
    config.remove(key);
    return this;
  }

  /** An F32 tensor behind those that are there. */
  SafetensorsWriter add(String tensor, int... shape) {
    int bytes = 4;
    StringBuilder sizes = new StringBuilder();
    for (int size : shape) {
      bytes *= size;
      sizes.append(sizes.isEmpty() ? "" : ",").append(size);
    }
    describe(tensor, "F32", sizes.toString(), dataBytes + "," + (dataBytes + bytes));
    dataBytes += bytes;
    return this;
  }

  SafetensorsWriter describe(String tensor, String type, String shape, String offsets) {
    String json = "{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%s]}";
    tensors.put(tensor, json.formatted(type, shape, offsets));
    return this;
  }

  /** Changes a piece of one tensor's description. */
  SafetensorsWriter replace(String tensor, String piece, String by) {
    String description = tensors.get(tensor);
    if (!description.contains(piece)) {
      throw new IllegalArgumentException(description);
    }
    tensors.put(tensor, description.replace(piece, by));
    return this;
  }

  static String object(Map<String, String> members) {
    StringBuilder json = new StringBuilder("{");
    members.forEach(
        (key, value) ->
            json.append(json.length() == 1 ? "" : ",")
                .append('"')
                .append(key)
                .append("\":")
                .append(value));
    return json.append('}').toString();
  }

  byte[] write() {
    byte[] json = header.apply(object(tensors)).getBytes(StandardCharsets.UTF_8);
    long length = headerLength != null ? headerLength : json.length;
    return edit.apply(
        GgufWriter.concat(GgufWriter.buffer(8).putLong(length).array(), json, new byte[dataBytes]));
  }

  void write(Path folder) throws IOException {
    Files.createDirectories(folder);
    Files.write(folder.resolve(name), write());
    Files.writeString(folder.resolve("config.json"), object(config));
    for (Map.Entry<String, String> file : files.entrySet()) {
      Files.writeString(folder.resolve(file.getKey()), file.getValue());
    }
  }
}
