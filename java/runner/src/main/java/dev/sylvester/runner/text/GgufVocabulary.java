package dev.sylvester.runner.text;

import dev.sylvester.runner.format.GgufMetadata;
import dev.sylvester.runner.format.ModelFormatException;
import dev.sylvester.runner.text.TokenTable.Spelling;
import java.nio.file.Path;
import java.util.BitSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;

/**
 * What a GGUF file says about its tokenizer: the keys {@code tokenizer.ggml.*}.
 *
 * @param file for messages
 * @param model {@code gpt2} (byte-level BPE) or {@code llama} (SentencePiece BPE)
 * @param pre the pre-tokenizer of a {@code gpt2} model, if named
 * @param tokens text of each token, as the model's vocabulary spells it
 * @param types a {@link TokenType} code for each token; empty: all normal
 * @param scores of each token; empty if there are merges
 * @param merges pairs of tokens, first merges first; empty if there are scores
 * @param bos begins a text
 * @param eos ends a text
 * @param eot ends a turn
 * @param eom ends a message
 * @param unk stands for what the vocabulary cannot spell
 * @param addBos whether texts begin with {@code bos}, if said
 * @param addEos whether texts end with {@code eos}, if said
 * @param addSpacePrefix whether a {@code llama} model puts a space before a text, if said
 * @param chatTemplate Jinja source
 */
public record GgufVocabulary(
    Path file,
    String model,
    Optional<String> pre,
    List<String> tokens,
    int[] types,
    float[] scores,
    List<String> merges,
    OptionalInt bos,
    OptionalInt eos,
    OptionalInt eot,
    OptionalInt eom,
    OptionalInt unk,
    Optional<Boolean> addBos,
    Optional<Boolean> addEos,
    Optional<Boolean> addSpacePrefix,
    Optional<String> chatTemplate) {
  private static final String PREFIX = "tokenizer.ggml.";
  private static final TokenType[] TYPES = TokenType.values();
  private static final Set<String> END_TOKENS =
      Set.of(
          "<|endoftext|>",
          "<|end_of_text|>",
          "<|im_end|>",
          "<|end|>",
          "<|eot_id|>",
          "<|eom_id|>",
          "<end_of_turn>");

  /** Kinds of tokens, as GGUF numbers them from 1. */
  enum TokenType {
    NORMAL,
    UNKNOWN,
    CONTROL,
    USER_DEFINED,
    UNUSED,
    BYTE
  }

  public GgufVocabulary {
    if (tokens.isEmpty()) {
      throw new ModelFormatException(file, "key 'tokenizer.ggml.tokens' is missing or empty");
    }
    requireSameLength(file, "token_type", types.length, tokens.size());
    requireSameLength(file, "scores", scores.length, tokens.size());
    for (int type : types) {
      if (type < 1 || type > TYPES.length) {
        throw new ModelFormatException(
            file, "key 'tokenizer.ggml.token_type' holds " + type + ", expected 1 to 6");
      }
    }
  }

  /**
   * Reads the vocabulary.
   *
   * @param file for messages
   * @throws ModelFormatException if a key is missing, of the wrong type or out of range
   */
  public static GgufVocabulary of(Path file, GgufMetadata metadata) {
    List<String> tokens = metadata.strings(PREFIX + "tokens");
    return new GgufVocabulary(
        file,
        metadata
            .string(PREFIX + "model")
            .orElseThrow(
                () -> new ModelFormatException(file, "key 'tokenizer.ggml.model' is missing")),
        metadata.string(PREFIX + "pre"),
        tokens,
        metadata.integers(PREFIX + "token_type"),
        metadata.numbers(PREFIX + "scores"),
        metadata.strings(PREFIX + "merges"),
        tokenId(file, metadata, "bos_token_id", tokens.size()),
        tokenId(file, metadata, "eos_token_id", tokens.size()),
        tokenId(file, metadata, "eot_token_id", tokens.size()),
        tokenId(file, metadata, "eom_token_id", tokens.size()),
        tokenId(file, metadata, "unknown_token_id", tokens.size()),
        metadata.bool(PREFIX + "add_bos_token"),
        metadata.bool(PREFIX + "add_eos_token"),
        metadata.bool(PREFIX + "add_space_prefix"),
        metadata.string("tokenizer.chat_template"));
  }

  /** How this vocabulary spells bytes, which is also how it cuts and merges. */
  Spelling spelling() {
    return switch (model) {
      case "gpt2" -> Spelling.BYTE_LEVEL;
      case "llama" -> Spelling.SENTENCE_PIECE;
      default -> throw unsupported("tokenizer model", model, "gpt2, llama");
    };
  }

  /** The pre-tokenizer of a byte-level vocabulary. */
  PreTokenizer preTokenizer() {
    String name = pre.orElse("default");
    return PreTokenizer.named(name)
        .orElseThrow(() -> unsupported("pre-tokenizer", name, PreTokenizer.names()));
  }

  private ModelFormatException unsupported(String what, String value, String known) {
    return new ModelFormatException(
        file, what + " " + ModelFormatException.quote(value) + " is not supported, only " + known);
  }

  TokenType type(int token) {
    return types.length == 0 ? TokenType.NORMAL : TYPES[types[token] - 1];
  }

  /** Whether the token is found in a text before it is cut into words. */
  boolean isAdded(int token) {
    return isSpecial(token) || type(token) == TokenType.USER_DEFINED;
  }

  boolean isSpecial(int token) {
    return type(token) == TokenType.CONTROL || type(token) == TokenType.UNKNOWN;
  }

  boolean addsSpacePrefix() {
    return addSpacePrefix.orElse(true);
  }

  TokenTable table() {
    BitSet added = new BitSet();
    BitSet special = new BitSet();
    for (int id = 0; id < types.length; id++) {
      added.set(id, isAdded(id));
      special.set(id, isSpecial(id));
    }
    Spelling spelling = spelling();
    boolean stripsSpace = spelling == Spelling.SENTENCE_PIECE && addsSpacePrefix();
    return new TokenTable(tokens.toArray(String[]::new), added, special, spelling, stripsSpace);
  }

  /** The named end tokens, and special tokens known to end a turn of some model family. */
  Set<Integer> endTokens() {
    Set<Integer> ends = new TreeSet<>();
    Stream.of(eos, eot, eom).flatMapToInt(OptionalInt::stream).forEach(ends::add);
    for (int id = 0; id < types.length; id++) {
      if (isSpecial(id) && END_TOKENS.contains(tokens.get(id))) {
        ends.add(id);
      }
    }
    return ends;
  }

  Optional<ChatTemplate> template() {
    Map<String, String> special = new HashMap<>();
    bos.ifPresent(id -> special.put("bos_token", tokens.get(id)));
    eos.ifPresent(id -> special.put("eos_token", tokens.get(id)));
    unk.ifPresent(id -> special.put("unk_token", tokens.get(id)));
    return chatTemplate.map(source -> new ChatTemplate(file, source, special));
  }

  private static OptionalInt tokenId(Path file, GgufMetadata metadata, String key, int size) {
    if (!metadata.has(PREFIX + key)) {
      return OptionalInt.empty();
    }
    long id = metadata.integer(PREFIX + key).getAsLong();
    // 2^32 - 1 is how writers say "none".
    if (id == 0xFFFF_FFFFL || id == -1) {
      return OptionalInt.empty();
    }
    if (id < 0 || id >= size) {
      throw new ModelFormatException(
          file, "key '" + PREFIX + key + "' is " + id + ", expected a token id below " + size);
    }
    return OptionalInt.of((int) id);
  }

  private static void requireSameLength(Path file, String key, int length, int tokens) {
    if (length != 0 && length != tokens) {
      throw new ModelFormatException(
          file, "key '" + PREFIX + key + "' has " + length + " elements for " + tokens + " tokens");
    }
  }
}
