package dev.sylvester.runner.text;

import dev.sylvester.runner.format.GgufFile;
import dev.sylvester.runner.format.ModelFile;
import dev.sylvester.runner.format.ModelFormatException;
import dev.sylvester.runner.format.SafetensorsFolder;
import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;

/**
 * Text to tokens and back, as the model's own tokenizer does it.
 *
 * <p>The names of special tokens inside a text, such as {@code <|im_end|>}, become those tokens, as
 * with transformers. Text of users that must not steer the model has to be cleaned of them by the
 * caller.
 *
 * <p>Any number of threads may use a tokenizer.
 */
public final class Tokenizer implements AutoCloseable {
  /**
   * What is encoded at once: it takes some 160 bytes for each character, and at ten million steps
   * of one match the native library's expressions end the process.
   */
  public static final int MOST_CHARACTERS = 1 << 22;

  private final NativeTokenizer encoder;
  private final TokenTable table;
  private final OptionalInt bos;
  private final Set<Integer> eos;
  private final Optional<ChatTemplate> chatTemplate;

  private Tokenizer(
      NativeTokenizer encoder,
      TokenTable table,
      OptionalInt bos,
      Set<Integer> eos,
      Optional<ChatTemplate> chatTemplate) {
    this.encoder = encoder;
    this.table = table;
    this.bos = bos;
    this.eos = Set.copyOf(eos);
    this.chatTemplate = chatTemplate;
  }

  /**
   * A model's own.
   *
   * @throws ModelFormatException if it is missing, malformed, or of a kind unknown here
   */
  public static Tokenizer of(ModelFile model) {
    return switch (model) {
      case GgufFile gguf -> fromGguf(GgufVocabulary.of(gguf.path(), gguf.metadata()));
      case SafetensorsFolder folder -> fromJson(folder.path().resolve("tokenizer.json"));
    };
  }

  /**
   * Reads a tokenizer.json and, beside it, what there is of tokenizer_config.json,
   * generation_config.json and chat_template.jinja.
   *
   * @throws ModelFormatException if a file is missing, malformed, or of a kind unknown here
   */
  public static Tokenizer fromJson(Path tokenizerJson) {
    TokenizerFolder folder = new TokenizerFolder(tokenizerJson);
    String json = folder.tokenizer();
    TokenTable table = TokenizerJson.table(tokenizerJson, json);
    OptionalInt bos = folder.bos(table);
    Set<Integer> eos = folder.eos(table);
    Optional<ChatTemplate> chatTemplate = folder.chatTemplate();
    return new Tokenizer(newEncoder(tokenizerJson, json), table, bos, eos, chatTemplate);
  }

  /**
   * Makes the tokenizer that a GGUF file describes.
   *
   * @throws ModelFormatException if it is of a kind unknown here
   */
  public static Tokenizer fromGguf(GgufVocabulary vocabulary) {
    String json = GgufTokenizerJson.of(vocabulary);
    return new Tokenizer(
        newEncoder(vocabulary.file(), json),
        vocabulary.table(),
        vocabulary.bos(),
        vocabulary.endTokens(),
        vocabulary.template());
  }

  private static NativeTokenizer newEncoder(Path file, String json) {
    try {
      return new NativeTokenizer(json);
    } catch (RuntimeException e) {
      String reason = ModelFormatException.quote(String.valueOf(e.getMessage()));
      throw new ModelFormatException(file, "tokenizer refused: " + reason, e);
    }
  }

  /**
   * Text to tokens.
   *
   * @param addSpecial whether to add what the model's tokenizer adds around a text, such as a bos
   *     token; not for the text of a chat template, which holds them already
   * @throws IllegalArgumentException if the text is longer than {@value #MOST_CHARACTERS}
   *     characters
   */
  public int[] encode(String text, boolean addSpecial) {
    if (text.length() > MOST_CHARACTERS) {
      throw new IllegalArgumentException(
          "a text of %,d characters cannot be encoded at once, at most %,d can"
              .formatted(text.length(), MOST_CHARACTERS));
    }
    return encoder.encode(text, addSpecial);
  }

  /**
   * Tokens to text. Bytes that are not UTF-8 become U+FFFD. Ids above the vocabulary are nothing.
   *
   * @param skipSpecial whether to leave out special tokens
   * @throws IllegalArgumentException if an id is negative
   */
  public String decode(int[] ids, boolean skipSpecial) {
    TokenStream stream = new TokenStream(table, skipSpecial, table.stripsSpace());
    for (int id : ids) {
      stream.append(id);
    }
    return stream.finish();
  }

  /**
   * Decodes tokens one by one to the same text as {@link #decode} with {@code skipSpecial} all at
   * once.
   */
  public TokenStream stream() {
    return new TokenStream(table, true, table.stripsSpace());
  }

  /**
   * As {@link #stream}, for tokens that go on with a text: a space at the beginning stays, where
   * the vocabulary would drop it from a text of its own.
   */
  public TokenStream continuation() {
    return new TokenStream(table, true, false);
  }

  /** One above the highest token id; the model's logits may have more rows. */
  public int vocabSize() {
    return table.size();
  }

  /** Ids of this tokenizer's tokens in another one, by what they spell; -1 where it lacks one. */
  public int[] idsIn(Tokenizer other) {
    return table.idsIn(other.table);
  }

  /** The token that begins a text. */
  public OptionalInt bos() {
    return bos;
  }

  /** The tokens that end a generation. */
  public Set<Integer> eos() {
    return eos;
  }

  /** Whether a token is a mark rather than text. */
  public boolean isSpecial(int id) {
    return table.isSpecial(id);
  }

  /** The model's own chat template. */
  public Optional<ChatTemplate> chatTemplate() {
    return chatTemplate;
  }

  @Override
  public void close() {
    encoder.close();
  }
}
