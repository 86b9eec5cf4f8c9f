package dev.sylvester.runner.text;

import com.fasterxml.jackson.core.JsonLocation;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.sylvester.runner.format.ModelFormatException;
import dev.sylvester.runner.text.TokenTable.Spelling;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.BitSet;

/**
 * Reads from a tokenizer.json what decoding needs, the tokens and how they spell text, and checks
 * the rest of it before the native library sees it.
 */
final class TokenizerJson {
  // Far above any vocabulary; a hostile id must not fill the heap.
  private static final int MOST_TOKENS = 1 << 22;
  static final ObjectMapper MAPPER =
      new ObjectMapper().enable(DeserializationFeature.FAIL_ON_READING_DUP_TREE_KEY);

  private final Path file;
  private final TokenizerPipeline pipeline;
  private final BitSet added = new BitSet();
  private final BitSet special = new BitSet();
  private String[] tokens = new String[1 << 16];
  private int size;
  private Spelling spelling;
  private boolean stripsSpace;

  private TokenizerJson(Path file) {
    this.file = file;
    this.pipeline = new TokenizerPipeline(file);
  }

  static TokenTable table(Path file, String json) {
    TokenizerJson reader = new TokenizerJson(file);
    try (JsonParser parser = MAPPER.createParser(json)) {
      reader.read(parser);
    } catch (JsonProcessingException e) {
      JsonLocation at = e.getLocation();
      String where = "line " + at.getLineNr() + ", column " + at.getColumnNr();
      throw new ModelFormatException(file, "is not the JSON of a tokenizer at " + where, e);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return new TokenTable(
        Arrays.copyOf(reader.tokens, reader.size),
        reader.added,
        reader.special,
        reader.spelling,
        reader.stripsSpace);
  }

  private void read(JsonParser parser) throws IOException {
    parser.nextToken();
    while (parser.nextToken() == JsonToken.FIELD_NAME) {
      String field = parser.currentName();
      parser.nextToken();
      switch (field) {
        case "added_tokens" -> readAddedTokens(parser.readValueAsTree());
        case "decoder" -> readDecoder(parser.readValueAsTree());
        case "normalizer" -> pipeline.checkNormalizer(parser.readValueAsTree());
        case "pre_tokenizer" -> pipeline.checkPreTokenizer(parser.readValueAsTree());
        case "post_processor" -> pipeline.checkPostProcessor(parser.readValueAsTree());
        case "model" -> readModel(parser);
        default -> parser.skipChildren();
      }
    }
    if (spelling == null) {
      throw unsupported("a missing decoder");
    }
  }

  private void readAddedTokens(JsonNode list) {
    for (JsonNode token : list) {
      int id = token.path("id").asInt(-1);
      put(id, token.path("content").asText());
      added.set(id);
      special.set(id, token.path("special").asBoolean());
    }
  }

  private void readModel(JsonParser parser) throws IOException {
    ObjectNode rest = MAPPER.createObjectNode();
    while (parser.nextToken() == JsonToken.FIELD_NAME) {
      String field = parser.currentName();
      parser.nextToken();
      switch (field) {
        case "vocab" -> {
          while (parser.nextToken() == JsonToken.FIELD_NAME) {
            String token = parser.currentName();
            parser.nextToken();
            put(parser.getLongValue(), token);
          }
        }
        case "merges" -> parser.skipChildren();
        default -> rest.set(field, parser.readValueAsTree());
      }
    }
    pipeline.checkModel(rest);
    String unknown = rest.path("unk_token").asText("");
    if (!unknown.isEmpty() && !Arrays.asList(tokens).contains(unknown)) {
      throw unsupported("unk_token " + ModelFormatException.quote(unknown) + " outside the tokens");
    }
  }

  private void put(long at, String token) {
    int id = (int) at;
    if (at < 0 || at >= MOST_TOKENS) {
      throw new ModelFormatException(
          file, "token " + ModelFormatException.quote(token) + " has id " + at);
    }
    if (id >= tokens.length) {
      tokens = Arrays.copyOf(tokens, Math.max(id + 1, 2 * tokens.length));
    }
    // An added token's own text is what counts, wherever the file puts it.
    if (!added.get(id)) {
      tokens[id] = token;
    }
    size = Math.max(size, id + 1);
  }

  private void readDecoder(JsonNode decoder) {
    String type = decoder.path("type").asText();
    switch (type) {
      case "ByteLevel" -> spelling = Spelling.BYTE_LEVEL;
      case "Metaspace" -> {
        requireField(decoder, "replacement", "▁");
        spelling = Spelling.SENTENCE_PIECE;
        stripsSpace = !decoder.path("prepend_scheme").asText("always").equals("never");
      }
      case "Replace" -> {
        requireField(decoder.path("pattern"), "String", "▁");
        requireField(decoder, "content", " ");
        spelling = Spelling.SENTENCE_PIECE;
      }
      case "Strip" -> {
        requireField(decoder, "content", " ");
        stripsSpace = decoder.path("start").asInt() == 1;
      }
      case "ByteFallback", "Fuse" -> {}
      case "Sequence" -> decoder.path("decoders").forEach(this::readDecoder);
      default -> throw unsupported("decoder " + ModelFormatException.quote(type));
    }
  }

  private void requireField(JsonNode node, String field, String expected) {
    String value = node.path(field).asText();
    if (!value.equals(expected)) {
      throw unsupported("a decoder with " + field + " " + ModelFormatException.quote(value));
    }
  }

  private ModelFormatException unsupported(String what) {
    return new ModelFormatException(file, what + " is not supported");
  }
}
