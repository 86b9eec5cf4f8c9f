package dev.sylvester.runner.format;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.function.UnaryOperator;

/** Writes small GGUF files, as wrong as a test wants them. */
final class GgufWriter {
  static final int UINT32 = 4;
  static final int FLOAT32 = 6;
  static final int BOOL = 7;
  static final int STRING = 8;
  static final int ARRAY = 9;
  static final int UINT64 = 10;

  int magic = GgufHeader.MAGIC;
  int version = 3;
  long alignment = 32;
  Long tensorCount;
  Long pairCount;
  UnaryOperator<byte[]> edit = UnaryOperator.identity();
  final List<Pair> pairs = new ArrayList<>();
  final List<Entry> tensors = new ArrayList<>();

  /** A metadata pair; the value's bytes follow its type. */
  static final class Pair {
    byte[] key;
    int type;
    byte[] value;
  }

  /** A tensor; null means what is right. */
  static final class Entry {
    byte[] name;
    int type;
    long[] dimensions;
    Integer dimensionCount;
    Long offset;
    byte[] data;
  }

  /** One layer of width 8 with two heads, one kv head, feed-forward 12 and 5 tokens. */
  static GgufWriter llama() {
    GgufWriter file = new GgufWriter();
    file.set("general.architecture", "llama")
        .set("llama.block_count", 1)
        .set("llama.context_length", 16)
        .set("llama.embedding_length", 8)
        .set("llama.feed_forward_length", 12)
        .set("llama.attention.head_count", 2)
        .set("llama.attention.head_count_kv", 1)
        .setFloat("llama.attention.layer_norm_rms_epsilon", 1e-5f)
        .setStrings("tokenizer.ggml.tokens", "<s>", "</s>", "a", "b", "c")
        .set("tokenizer.ggml.eos_token_id", 1);
    return file.add("token_embd.weight", 8, 5)
        .add("output_norm.weight", 8)
        .add("blk.0.attn_norm.weight", 8)
        .add("blk.0.attn_q.weight", 8, 8)
        .add("blk.0.attn_k.weight", 8, 4)
        .add("blk.0.attn_v.weight", 8, 4)
        .add("blk.0.attn_output.weight", 8, 8)
        .add("blk.0.ffn_norm.weight", 8)
        .add("blk.0.ffn_gate.weight", 8, 12)
        .add("blk.0.ffn_up.weight", 8, 12)
        .add("blk.0.ffn_down.weight", 12, 8);
  }

  GgufWriter set(String key, int value) {
    return raw(key, UINT32, buffer(4).putInt(value).array());
  }

  GgufWriter setLong(String key, long value) {
    return raw(key, UINT64, buffer(8).putLong(value).array());
  }

  GgufWriter setFloat(String key, float value) {
    return raw(key, FLOAT32, buffer(4).putFloat(value).array());
  }

  GgufWriter set(String key, boolean value) {
    return raw(key, BOOL, new byte[] {(byte) (value ? 1 : 0)});
  }

  GgufWriter set(String key, String value) {
    return raw(key, STRING, string(value.getBytes(StandardCharsets.UTF_8)));
  }

  GgufWriter setStrings(String key, String... values) {
    byte[][] parts = new byte[values.length + 1][];
    parts[0] = buffer(12).putInt(STRING).putLong(values.length).array();
    for (int i = 0; i < values.length; i++) {
      parts[i + 1] = string(values[i].getBytes(StandardCharsets.UTF_8));
    }
    return raw(key, ARRAY, concat(parts));
  }

  /** Replaces the pair of this key, or adds one. */
  GgufWriter raw(String key, int type, byte[] value) {
    byte[] name = key.getBytes(StandardCharsets.UTF_8);
    remove(key);
    Pair pair = new Pair();
    pair.key = name;
    pair.type = type;
    pair.value = value;
    pairs.add(pair);
    return this;
  }

  GgufWriter remove(String key) {
    pairs.removeIf(p -> new String(p.key, StandardCharsets.UTF_8).equals(key));
    return this;
  }

  Pair pair(String key) {
    return pairs.stream()
        .filter(p -> new String(p.key, StandardCharsets.UTF_8).equals(key))
        .findFirst()
        .orElseThrow();
  }

  /** An F32 tensor whose elements are 0, 1, 2, ...; dimensions innermost first. */
  GgufWriter add(String name, long... dimensions) {
    int elements = 1;
    for (long dimension : dimensions) {
      elements *= (int) dimension;
    }
    ByteBuffer data = buffer(4 * elements);
    for (int i = 0; i < elements; i++) {
      data.putFloat(i);
    }
    return add(name, 0, dimensions, data.array());
  }

  GgufWriter add(String name, int type, long[] dimensions, byte[] data) {
    Entry tensor = new Entry();
    tensor.name = name.getBytes(StandardCharsets.UTF_8);
    tensor.type = type;
    tensor.dimensions = dimensions;
    tensor.data = data;
    tensors.add(tensor);
    return this;
  }

  GgufWriter removeTensor(String name) {
    tensors.remove(tensor(name));
    return this;
  }

  Entry tensor(String name) {
    return tensors.stream()
        .filter(t -> new String(t.name, StandardCharsets.UTF_8).equals(name))
        .findFirst()
        .orElseThrow();
  }

  byte[] header() {
    ByteBuffer out = buffer(1 << 16);
    out.putInt(magic).putInt(version);
    out.putLong(tensorCount != null ? tensorCount : tensors.size());
    out.putLong(pairCount != null ? pairCount : pairs.size());
    for (Pair pair : pairs) {
      out.put(string(pair.key)).putInt(pair.type).put(pair.value);
    }
    long offset = 0;
    for (Entry tensor : tensors) {
      out.put(string(tensor.name));
      out.putInt(tensor.dimensionCount != null ? tensor.dimensionCount : tensor.dimensions.length);
      for (long dimension : tensor.dimensions) {
        out.putLong(dimension);
      }
      out.putInt(tensor.type).putLong(tensor.offset != null ? tensor.offset : offset);
      offset = aligned(offset + tensor.data.length);
    }
    return written(out);
  }

  byte[] write() {
    byte[] header = header();
    ByteBuffer out = buffer(1 << 16).put(header);
    long start = aligned(header.length);
    for (Entry tensor : tensors) {
      out.position((int) start).put(tensor.data);
      start = aligned(start + tensor.data.length);
    }
    return edit.apply(written(out));
  }

  private long aligned(long position) {
    return (position + alignment - 1) / alignment * alignment;
  }

  static byte[] string(byte[] bytes) {
    return buffer(8 + bytes.length).putLong(bytes.length).put(bytes).array();
  }

  static ByteBuffer buffer(int bytes) {
    return ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }

  static byte[] concat(byte[]... parts) {
    ByteBuffer out = buffer(1 << 16);
    for (byte[] part : parts) {
      out.put(part);
    }
    return written(out);
  }

  private static byte[] written(ByteBuffer out) {
    byte[] bytes = new byte[out.position()];
    out.flip().get(bytes);
    return bytes;
  }
}
