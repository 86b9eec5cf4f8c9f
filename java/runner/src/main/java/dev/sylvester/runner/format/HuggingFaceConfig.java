package dev.sylvester.runner.format;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;

/** The configuration in config.json and generation_config.json, with transformers' defaults. */
final class HuggingFaceConfig {
  /** What LLaDA's released config.json calls them, after OLMo. */
  private static final Map<String, String> LLADA_KEYS =
      Map.of(
          "hidden_act", "activation_type",
          "num_hidden_layers", "n_layers",
          "hidden_size", "d_model",
          "num_attention_heads", "n_heads",
          "num_key_value_heads", "n_kv_heads",
          "intermediate_size", "mlp_hidden_size",
          "max_position_embeddings", "max_sequence_length",
          "tie_word_embeddings", "weight_tying",
          "attention_bias", "include_qkv_bias",
          "vocab_size", "embedding_size");

  private final JsonSettings config;
  private final String architecture;

  private HuggingFaceConfig(JsonSettings config) {
    this.config = config;
    this.architecture = architecture(config);
  }

  /**
   * @param generation generation_config.json, which may name more tokens that end a text
   */
  static ModelConfig read(JsonSettings config, Optional<JsonSettings> generation) {
    return new HuggingFaceConfig(config).read(generation);
  }

  private static String architecture(JsonSettings config) {
    String modelType = config.requireString("model_type");
    return switch (modelType) {
      case "llama", "mistral", "qwen2", "qwen3", "Dream", "llada" ->
          modelType.toLowerCase(Locale.ROOT);
      default ->
          throw config.unexpected(
              "model_type",
              ModelFormatException.quote(modelType),
              "llama, mistral, qwen2, qwen3, Dream or llada");
    };
  }

  private ModelConfig read(Optional<JsonSettings> generation) {
    if (config.has("quantization_config")) {
      throw config.error("key 'quantization_config': quantised safetensors are not supported");
    }
    if (architecture.equals("llada")) {
      checkLlada();
    }
    String activation = config.string(key("hidden_act")).orElse("silu");
    if (!activation.equals("silu")) {
      throw config.unexpected(key("hidden_act"), ModelFormatException.quote(activation), "silu");
    }
    int layers = config.requireSize(key("num_hidden_layers"), ModelConfig.MOST_LAYERS);
    int hiddenSize = config.requireSize(key("hidden_size"), ModelConfig.MOST_WIDTH);
    int heads = config.requireSize(key("num_attention_heads"), ModelConfig.MOST_HEADS);
    int headDim = headDim(hiddenSize, heads);
    int vocabSize = config.requireSize(key("vocab_size"), ModelConfig.MOST_VOCAB);
    int contextLength =
        config.requireSize(key("max_position_embeddings"), ModelConfig.MOST_CONTEXT);
    boolean dream = architecture.equals("dream");
    boolean diffusion = dream || architecture.equals("llada");
    boolean qkvBias = config.bool(key("attention_bias")).orElse(dream);
    Set<Integer> eosIds = eosIds(config, vocabSize);
    generation.ifPresent(g -> eosIds.addAll(eosIds(g, vocabSize)));
    return new ModelConfig(
            architecture,
            layers,
            hiddenSize,
            heads,
            config.size(key("num_key_value_heads"), ModelConfig.MOST_HEADS, heads),
            headDim,
            config.requireSize(key("intermediate_size"), ModelConfig.MOST_WIDTH),
            vocabSize,
            contextLength,
            config.positive("rms_norm_eps", 1e-6),
            HuggingFaceRope.read(config, headDim, contextLength),
            config.bool(key("tie_word_embeddings")).orElse(false),
            switch (architecture) {
              case "qwen2" -> true;
              case "mistral" -> false;
              default -> qkvBias;
            },
            switch (architecture) {
              case "llama", "qwen3" -> qkvBias;
              default -> false;
            },
            architecture.equals("llama") && config.bool("mlp_bias").orElse(false),
            architecture.equals("qwen3"),
            slidingWindows(layers),
            diffusion,
            dream,
            config.tokenId("bos_token_id", vocabSize),
            Collections.unmodifiableSet(eosIds),
            config.tokenId("mask_token_id", vocabSize))
        .checked(config.file());
  }

  private String key(String name) {
    String released = architecture.equals("llada") ? LLADA_KEYS.get(name) : null;
    return released != null && config.has(released) ? released : name;
  }

  /** Of what OLMo's configuration can say, only what the released models do is supported. */
  private void checkLlada() {
    Map.of("block_type", "llama", "layer_norm_type", "rms")
        .forEach(
            (key, only) -> {
              String value = config.string(key).orElse(only);
              if (!value.equals(only)) {
                throw config.unexpected(key, ModelFormatException.quote(value), only);
              }
            });
    for (String key : List.of("include_bias", "attention_layer_norm", "alibi", "scale_logits")) {
      if (config.bool(key).orElse(false)) {
        throw config.unexpected(key, true, "false");
      }
    }
  }

  private int headDim(int hiddenSize, int heads) {
    if (config.has("head_dim")) {
      return config.requireSize("head_dim", ModelConfig.MOST_HEAD_DIM);
    }
    if (architecture.equals("qwen3")) {
      return 128;
    }
    if (hiddenSize % heads != 0) {
      throw config.unexpected(key("num_attention_heads"), heads, "a divisor of " + hiddenSize);
    }
    return hiddenSize / heads;
  }

  private static Set<Integer> eosIds(JsonSettings settings, int vocabSize) {
    String key = "eos_token_id";
    Set<Integer> ids = new TreeSet<>();
    JsonNode node = settings.node(key);
    if (node != null) {
      for (JsonNode id : node.isArray() ? node : List.of(node)) {
        ids.add(settings.checkTokenId(key, settings.integer(key, id), vocabSize));
      }
    }
    return ids;
  }

  private List<Integer> slidingWindows(int layers) {
    if (architecture.equals("llama") || architecture.equals("llada")) {
      return Collections.nCopies(layers, 0);
    }
    boolean everyLayer = architecture.equals("mistral");
    boolean windowed = everyLayer || config.bool("use_sliding_window").orElse(false);
    if (!windowed || config.object().path("sliding_window").isNull()) {
      return Collections.nCopies(layers, 0);
    }
    int window = config.size("sliding_window", Integer.MAX_VALUE, 4096);
    if (everyLayer) {
      return Collections.nCopies(layers, window);
    }
    JsonNode types = config.node("layer_types");
    if (types == null) {
      long first = config.integer("max_window_layers").orElse(28);
      List<Integer> windows = new ArrayList<>(layers);
      for (int i = 0; i < layers; i++) {
        windows.add(i >= first ? window : 0);
      }
      return List.copyOf(windows);
    }
    return layerTypes(types, layers, window);
  }

  private List<Integer> layerTypes(JsonNode types, int layers, int window) {
    if (!types.isArray() || types.size() != layers) {
      throw config.unexpected("layer_types", JsonSettings.shown(types), layers + " layer types");
    }
    List<Integer> windows = new ArrayList<>(layers);
    for (JsonNode type : types) {
      windows.add(
          switch (type.asText()) {
            case "sliding_attention" -> window;
            case "full_attention" -> 0;
            default ->
                throw config.unexpected(
                    "layer_types", JsonSettings.shown(type), "sliding_attention or full_attention");
          });
    }
    return List.copyOf(windows);
  }
}
