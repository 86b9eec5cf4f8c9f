package dev.sylvester.runner.text;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.sylvester.runner.format.ModelFormatException;
import dev.sylvester.runner.text.TokenTable.Spelling;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.BitSet;

/** Reads from a tokenizer.json what decoding needs: the tokens and how they spell text. */
final class TokenizerJson {
  // Far above any vocabulary; a hostile id must not fill the heap.
  private static final int MOST_TOKENS = 1 << 22;

  private final Path file;
  private final BitSet added = new BitSet();
  private final BitSet special = new BitSet();
  private String[] tokens = new String[1 << 16];
  private int size;
  private Spelling spelling;
  private boolean stripsSpace;

  private TokenizerJson(Path file) {
    this.file = file;
  }

  static TokenTable table(Path file, String json) {
    TokenizerJson reader = new TokenizerJson(file);
    try (JsonParser parser = new ObjectMapper().createParser(json)) {
      reader.read(parser);
    } catch (IOException e) {
      throw new ModelFormatException(file, "not a tokenizer.json: " + firstLine(e), e);
    }
    return new TokenTable(
        Arrays.copyOf(reader.tokens, reader.size),
        reader.added,
        reader.special,
        reader.spelling,
        reader.stripsSpace);
  }

  private static String firstLine(IOException e) {
    return e.getMessage().lines().findFirst().orElse("");
  }

  private void read(JsonParser parser) throws IOException {
    parser.nextToken();
    while (parser.nextToken() == JsonToken.FIELD_NAME) {
      String field = parser.currentName();
      parser.nextToken();
      switch (field) {
        case "added_tokens" -> readAddedTokens(parser.readValueAsTree());
        case "decoder" -> readDecoder(parser.readValueAsTree());
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
    while (parser.nextToken() == JsonToken.FIELD_NAME) {
      boolean vocabulary = parser.currentName().equals("vocab");
      parser.nextToken();
      if (vocabulary && parser.currentToken() == JsonToken.START_OBJECT) {
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
          String token = parser.currentName();
          parser.nextToken();
          put(parser.getLongValue(), token);
        }
      } else if (vocabulary) {
        // Unigram: [token, score] in the order of the ids.
        int id = 0;
        for (JsonNode entry : parser.<JsonNode>readValueAsTree()) {
          put(id++, entry.path(0).asText());
        }
      } else {
        parser.skipChildren();
      }
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
