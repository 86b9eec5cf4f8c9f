package dev.sylvester.runner;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.function.UnaryOperator;

/**
 * The small LLaDA and Dream checkpoints in plain loops, with an array of keys and one of values for
 * each layer. Rows that are not computed keep those of before. The first tokens can be read as a
 * packed cache would give them.
 */
public final class PlainDiffusionModel {
  private static final int WIDTH = 64;
  private static final int HEADS = 4;
  private static final int KV_HEADS = 2;
  private static final int DIM = 16;
  private static final int LAYERS = 2;
  private static final double EPS = 1e-5;
  private static final double THETA = 20_000;
  private static final String[] PARTS = {
    "input_layernorm",
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "post_attention_layernorm",
    "mlp.gate_proj",
    "mlp.up_proj",
    "mlp.down_proj"
  };
  private static final String[] LLADA_PARTS = {
    "attn_norm", "q_proj", "k_proj", "v_proj", "attn_out", "ff_norm", "ff_proj", "up_proj", "ff_out"
  };

  private final Map<String, float[]> tensors;
  private final boolean llada;
  private final UnaryOperator<double[]> packing;
  private final boolean preRope;
  private final double[][][] keys;
  private final double[][][] values;
  private final double[][][] packedKeys;
  private final double[][][] packedValues;

  PlainDiffusionModel(String name, int length) throws IOException {
    this(name, length, UnaryOperator.identity(), false);
  }

  /**
   * A model whose packed tokens have lost something.
   *
   * @param packing what is read of a head of keys or values
   * @param preRope whether that of keys is before rotary positions
   */
  public PlainDiffusionModel(
      String name, int length, UnaryOperator<double[]> packing, boolean preRope)
      throws IOException {
    this.packing = packing;
    this.preRope = preRope;
    Path folder = Golden.ROOT.resolve("tests/golden/checkpoints").resolve(name);
    this.tensors = read(folder.resolve("model.safetensors"));
    this.llada = name.equals("llada");
    this.keys = new double[LAYERS][length][];
    this.values = new double[LAYERS][length][];
    this.packedKeys = new double[LAYERS][length][];
    this.packedValues = new double[LAYERS][length][];
  }

  private static Map<String, float[]> read(Path file) throws IOException {
    ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
    byte[] header = new byte[(int) bytes.getLong()];
    bytes.get(header);
    int start = bytes.position();
    Map<String, float[]> tensors = new HashMap<>();
    JsonNode json = new ObjectMapper().readTree(new String(header, StandardCharsets.UTF_8));
    for (Map.Entry<String, JsonNode> entry : json.properties()) {
      if (entry.getKey().equals("__metadata__")) {
        continue;
      }
      int[] offsets = Golden.ints(entry.getValue().get("data_offsets"));
      float[] floats = new float[(offsets[1] - offsets[0]) / Float.BYTES];
      bytes.position(start + offsets[0]).slice().order(bytes.order()).asFloatBuffer().get(floats);
      tensors.put(entry.getKey(), floats);
    }
    return tensors;
  }

  private String name(int layer, int part) {
    return llada
        ? "model.transformer.blocks." + layer + "." + LLADA_PARTS[part]
        : "model.layers." + layer + "." + PARTS[part];
  }

  /** Rows of the matrix times x, and the bias where there is one. */
  private double[] multiply(String name, double[] x) {
    float[] weight = tensors.get(name + ".weight");
    float[] bias = tensors.get(name + ".bias");
    double[] y = new double[weight.length / x.length];
    for (int i = 0; i < y.length; i++) {
      y[i] = bias == null ? 0 : bias[i];
      for (int j = 0; j < x.length; j++) {
        y[i] += (double) weight[i * x.length + j] * x[j];
      }
    }
    return y;
  }

  private double[] norm(String name, double[] x) {
    float[] weight = tensors.get(name + ".weight");
    double squares = 0;
    for (double value : x) {
      squares += value * value;
    }
    double[] y = new double[x.length];
    for (int i = 0; i < x.length; i++) {
      y[i] = x[i] / Math.sqrt(squares / x.length + EPS) * weight[i];
    }
    return y;
  }

  private static void rotate(double[] x, int position) {
    for (int head = 0; head < x.length; head += DIM) {
      for (int i = 0; i < DIM / 2; i++) {
        double angle = position * Math.pow(THETA, -2.0 * i / DIM);
        double a = x[head + i];
        double b = x[head + i + DIM / 2];
        x[head + i] = a * Math.cos(angle) - b * Math.sin(angle);
        x[head + i + DIM / 2] = b * Math.cos(angle) + a * Math.sin(angle);
      }
    }
  }

  private double[] packed(double[] heads) {
    double[] y = new double[heads.length];
    for (int head = 0; head < heads.length; head += DIM) {
      double[] some = packing.apply(Arrays.copyOfRange(heads, head, head + DIM));
      System.arraycopy(some, 0, y, head, DIM);
    }
    return y;
  }

  private void store(int layer, int p, double[] key, double[] value) {
    values[layer][p] = value;
    packedValues[layer][p] = packed(value);
    double[] before = packed(key);
    rotate(key, p);
    keys[layer][p] = key;
    if (preRope) {
      rotate(before, p);
    }
    packedKeys[layer][p] = preRope ? before : packed(key);
  }

  private double[] attend(int layer, double[] query, int packed) {
    double[] y = new double[query.length];
    for (int head = 0; head < HEADS; head++) {
      int kv = head / (HEADS / KV_HEADS) * DIM;
      double[] weights = new double[keys[layer].length];
      double sum = 0;
      for (int p = 0; p < weights.length; p++) {
        double[] key = (p < packed ? packedKeys : keys)[layer][p];
        double score = 0;
        for (int i = 0; i < DIM; i++) {
          score += query[head * DIM + i] * key[kv + i];
        }
        weights[p] = Math.exp(score / Math.sqrt(DIM));
        sum += weights[p];
      }
      for (int p = 0; p < weights.length; p++) {
        double[] value = (p < packed ? packedValues : values)[layer][p];
        for (int i = 0; i < DIM; i++) {
          y[head * DIM + i] += weights[p] / sum * value[kv + i];
        }
      }
    }
    return y;
  }

  private static void add(double[] to, double[] what) {
    for (int i = 0; i < to.length; i++) {
      to[i] += what[i];
    }
  }

  /** Logits of the rows that are computed, null for others. */
  double[][] forward(int[] tokens, boolean[] computed) {
    return forward(tokens, computed, 0);
  }

  /** The same when so many of the first tokens are read packed. */
  public double[][] forward(int[] tokens, boolean[] computed, int packed) {
    double[][] hidden = new double[tokens.length][];
    float[] embedding =
        tensors.get(llada ? "model.transformer.wte.weight" : "model.embed_tokens.weight");
    for (int p = 0; p < tokens.length; p++) {
      if (computed[p]) {
        hidden[p] = new double[WIDTH];
        for (int i = 0; i < WIDTH; i++) {
          hidden[p][i] = embedding[tokens[p] * WIDTH + i];
        }
      }
    }
    for (int layer = 0; layer < LAYERS; layer++) {
      double[][] queries = new double[tokens.length][];
      for (int p = 0; p < tokens.length; p++) {
        if (computed[p]) {
          double[] normed = norm(name(layer, 0), hidden[p]);
          queries[p] = multiply(name(layer, 1), normed);
          rotate(queries[p], p);
          store(layer, p, multiply(name(layer, 2), normed), multiply(name(layer, 3), normed));
        }
      }
      for (int p = 0; p < tokens.length; p++) {
        if (computed[p]) {
          add(hidden[p], multiply(name(layer, 4), attend(layer, queries[p], packed)));
          double[] normed = norm(name(layer, 5), hidden[p]);
          double[] gate = multiply(name(layer, 6), normed);
          double[] up = multiply(name(layer, 7), normed);
          for (int i = 0; i < gate.length; i++) {
            up[i] *= gate[i] / (1 + Math.exp(-gate[i]));
          }
          add(hidden[p], multiply(name(layer, 8), up));
        }
      }
    }
    double[][] logits = new double[tokens.length][];
    for (int p = 0; p < tokens.length; p++) {
      if (computed[p]) {
        double[] normed = norm(llada ? "model.transformer.ln_f" : "model.norm", hidden[p]);
        logits[p] = multiply(llada ? "model.transformer.ff_out" : "lm_head", normed);
      }
    }
    return logits;
  }
}
