package dev.sylvester.runner.format;

import java.lang.foreign.MemorySegment;
import java.util.Collections;
import java.util.Map;

/** The configuration in a GGUF file's metadata. */
final class GgufConfig {
  private final GgufMetadata metadata;
  private final Map<String, Tensor> tensors;
  private final String architecture;

  private GgufConfig(GgufMetadata metadata, Map<String, Tensor> tensors) {
    this.metadata = metadata;
    this.tensors = tensors;
    this.architecture = metadata.requireString("general.architecture");
  }

  /**
   * @param tensors by canonical name
   */
  static ModelConfig read(GgufMetadata metadata, Map<String, Tensor> tensors) {
    return new GgufConfig(metadata, tensors).read();
  }

  private ModelConfig read() {
    switch (architecture) {
      case "llama", "qwen2", "qwen3", "dream", "llada" -> {}
      default ->
          throw metadata.unexpected(
              "general.architecture",
              ModelFormatException.quote(architecture),
              "llama, qwen2, qwen3, dream or llada");
    }
    refuse("split.count", 1);
    refuse(key("expert_count"), 0);
    int layers = metadata.requireSize(key("block_count"), ModelConfig.MOST_LAYERS);
    int hiddenSize = metadata.requireSize(key("embedding_length"), ModelConfig.MOST_WIDTH);
    int heads = metadata.requireSize(key("attention.head_count"), ModelConfig.MOST_HEADS);
    int headDim = headDim(hiddenSize, heads);
    int vocabSize = vocabSize();
    int window = slidingWindow();
    boolean dream = architecture.equals("dream");
    boolean llada = architecture.equals("llada");
    return new ModelConfig(
            architecture,
            layers,
            hiddenSize,
            heads,
            metadata.size(key("attention.head_count_kv"), ModelConfig.MOST_HEADS, heads),
            headDim,
            metadata.requireSize(key("feed_forward_length"), ModelConfig.MOST_WIDTH),
            vocabSize,
            metadata.requireSize(key("context_length"), ModelConfig.MOST_CONTEXT),
            metadata.requirePositive(key("attention.layer_norm_rms_epsilon")),
            rope(headDim),
            !tensors.containsKey("lm_head.weight"),
            architecture.equals("qwen2") || hasBias("self_attn.q_proj"),
            hasBias("self_attn.o_proj"),
            hasBias("mlp.gate_proj"),
            architecture.equals("qwen3"),
            Collections.nCopies(layers, window),
            dream || llada || !metadata.bool(key("attention.causal")).orElse(true),
            metadata.bool("diffusion.shift_logits").orElse(dream),
            metadata.tokenId("tokenizer.ggml.bos_token_id", vocabSize),
            metadata.tokenIds(
                vocabSize,
                "tokenizer.ggml.eos_token_id",
                "tokenizer.ggml.eot_token_id",
                "tokenizer.ggml.eom_token_id"),
            metadata.tokenId("tokenizer.ggml.mask_token_id", vocabSize))
        .checked(metadata.file());
  }

  private String key(String name) {
    return architecture + '.' + name;
  }

  private boolean hasBias(String module) {
    return tensors.containsKey("model.layers.0." + module + ".bias");
  }

  /** Features whose presence would change results, and which are not supported. */
  private void refuse(String key, long most) {
    long value = metadata.integer(key).orElse(0);
    if (value > most) {
      throw metadata.error(
          "key " + ModelFormatException.quote(key) + " is " + value + ", which is not supported");
    }
  }

  private int headDim(int hiddenSize, int heads) {
    String keyLength = key("attention.key_length");
    if (metadata.has(keyLength)) {
      int headDim = metadata.requireSize(keyLength, ModelConfig.MOST_HEAD_DIM);
      int valueLength =
          metadata.size(key("attention.value_length"), ModelConfig.MOST_HEAD_DIM, headDim);
      if (valueLength != headDim) {
        throw metadata.unexpected(key("attention.value_length"), valueLength, "" + headDim);
      }
      return headDim;
    }
    if (hiddenSize % heads != 0) {
      throw metadata.unexpected(key("attention.head_count"), heads, "a divisor of " + hiddenSize);
    }
    return hiddenSize / heads;
  }

  private int vocabSize() {
    Tensor embedding = tensors.get("model.embed_tokens.weight");
    if (embedding == null) {
      throw metadata.error("tensor 'token_embd.weight' is missing");
    }
    long rows = embedding.shape()[0];
    if (rows > ModelConfig.MOST_VOCAB) {
      throw metadata.error("tensor 'token_embd.weight' has " + rows + " rows");
    }
    long tokens = metadata.count("tokenizer.ggml.tokens");
    if (tokens != 0 && tokens != rows) {
      throw metadata.error(
          "key 'tokenizer.ggml.tokens' has "
              + tokens
              + " tokens, but tensor 'token_embd.weight' has "
              + rows
              + " rows");
    }
    return (int) rows;
  }

  private int slidingWindow() {
    String key = key("attention.sliding_window");
    return metadata.integer(key).orElse(0) == 0 ? 0 : metadata.requireSize(key, Integer.MAX_VALUE);
  }

  private RopeConfig rope(int headDim) {
    int dims = metadata.size(key("rope.dimension_count"), ModelConfig.MOST_HEAD_DIM, headDim);
    double theta = metadata.positive(key("rope.freq_base"), 10000);
    // The converters permute the rows of q and k of these files for interleaved pairs.
    boolean interleaved = architecture.equals("llama") || architecture.equals("llada");
    float[] factors = ropeFactors(dims);
    String kind =
        metadata
            .string(key("rope.scaling.type"))
            .orElse(metadata.has(key("rope.scale_linear")) ? "linear" : "none");
    return switch (kind) {
      case "none" -> RopeConfig.none(dims, theta, factors, interleaved);
      case "linear" -> {
        String factor = key("rope.scaling.factor");
        String formerly = key("rope.scale_linear");
        boolean former = !metadata.has(factor) && metadata.has(formerly);
        double value = metadata.requirePositive(former ? formerly : factor);
        yield RopeConfig.linear(dims, theta, value, factors, interleaved);
      }
      case "yarn" -> {
        double factor = metadata.requirePositive(key("rope.scaling.factor"));
        yield RopeConfig.yarn(
            dims,
            theta,
            factor,
            metadata.positive(
                key("rope.scaling.original_context_length"),
                metadata.requireSize(key("context_length"), ModelConfig.MOST_CONTEXT)),
            metadata.positive(key("rope.scaling.yarn_beta_fast"), 32),
            metadata.positive(key("rope.scaling.yarn_beta_slow"), 1),
            metadata.positive(key("rope.scaling.attn_factor"), 1)
                * RopeConfig.yarnMagnitude(factor, 1),
            factors,
            interleaved);
      }
      default ->
          throw metadata.unexpected(
              key("rope.scaling.type"), ModelFormatException.quote(kind), "none, linear or yarn");
    };
  }

  /** Llama 3 files store their frequency scaling as one divisor for each pair. */
  private float[] ropeFactors(int dims) {
    Tensor tensor = tensors.get("rope_freqs.weight");
    if (tensor == null) {
      return new float[0];
    }
    MemorySegment data = tensor.requireType(TensorType.F32).require(dims / 2).data();
    float[] factors = new float[dims / 2];
    for (int i = 0; i < factors.length; i++) {
      factors[i] = Float.intBitsToFloat(data.get(GgufCursor.INT, 4L * i));
      if (!(factors[i] > 0 && factors[i] < Float.POSITIVE_INFINITY)) {
        throw metadata.error("tensor 'rope_freqs.weight' has value " + factors[i] + " at " + i);
      }
    }
    return factors;
  }
}
