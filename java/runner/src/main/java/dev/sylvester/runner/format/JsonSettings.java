package dev.sylvester.runner.format;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonLocation;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.JsonNodeType;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;

/** The values of a JSON object; null counts as absent. */
final class JsonSettings extends Settings {
  private static final long MOST_BYTES = 1 << 26;
  private static final int MOST_NESTING = 32;

  static final JsonFactory FACTORY =
      JsonFactory.builder()
          // Tables of names are for documents that repeat them; these hold any number of others.
          .disable(JsonFactory.Feature.CANONICALIZE_FIELD_NAMES)
          .disable(JsonFactory.Feature.INTERN_FIELD_NAMES)
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          .streamReadConstraints(
              StreamReadConstraints.builder().maxNestingDepth(MOST_NESTING).build())
          .build();

  private static final ObjectMapper MAPPER =
      JsonMapper.builder(FACTORY).enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS).build();

  private final ObjectNode object;

  private JsonSettings(Path file, ObjectNode object, String prefix) {
    super(file, prefix);
    this.object = object;
  }

  static JsonSettings read(Path file) {
    MappedFile.requireRegular(file);
    try {
      long bytes = Files.size(file);
      if (bytes > MOST_BYTES) {
        throw new ModelFormatException(file, "is " + bytes + " bytes long, at most " + MOST_BYTES);
      }
      return parse(file, Files.readAllBytes(file));
    } catch (IOException e) {
      throw ModelFiles.unreadable(file, e);
    }
  }

  static JsonSettings parse(Path file, byte[] json) {
    try {
      if (MAPPER.readTree(json) instanceof ObjectNode object) {
        return new JsonSettings(file, object, "");
      }
      throw new ModelFormatException(file, "is not a JSON object");
    } catch (IOException e) {
      throw malformed(file, e);
    }
  }

  /** Jackson's complaint on one line. */
  static ModelFormatException malformed(Path file, IOException e) {
    String where = "";
    String reason = String.valueOf(e.getMessage());
    if (e instanceof JsonProcessingException json) {
      reason = json.getOriginalMessage();
      JsonLocation at = json.getLocation();
      where = at == null ? "" : " at line " + at.getLineNr() + ", column " + at.getColumnNr();
    }
    return new ModelFormatException(
        file, "malformed JSON" + where + ": " + ModelFormatException.oneLine(reason), e);
  }

  @Override
  public boolean has(String key) {
    return object.hasNonNull(key);
  }

  /** The node of this key, or null. */
  JsonNode node(String key) {
    return has(key) ? object.get(key) : null;
  }

  ObjectNode object() {
    return object;
  }

  /** The object of this key. */
  Optional<JsonSettings> nested(String key) {
    JsonNode node = typed(key, JsonNodeType.OBJECT, "an object");
    return Optional.ofNullable(node).map(n -> new JsonSettings(file(), (ObjectNode) n, key + '.'));
  }

  @Override
  public OptionalLong integer(String key) {
    JsonNode node = node(key);
    return node == null ? OptionalLong.empty() : OptionalLong.of(integer(key, node));
  }

  long integer(String key, JsonNode node) {
    if (!node.isIntegralNumber() || !node.canConvertToLong()) {
      throw unexpected(key, shown(node), "an integer");
    }
    return node.longValue();
  }

  @Override
  public OptionalDouble number(String key) {
    JsonNode node = typed(key, JsonNodeType.NUMBER, "a number");
    return node == null ? OptionalDouble.empty() : OptionalDouble.of(node.doubleValue());
  }

  @Override
  public Optional<Boolean> bool(String key) {
    return Optional.ofNullable(typed(key, JsonNodeType.BOOLEAN, "true or false"))
        .map(JsonNode::booleanValue);
  }

  @Override
  public Optional<String> string(String key) {
    return Optional.ofNullable(typed(key, JsonNodeType.STRING, "a string"))
        .map(JsonNode::textValue);
  }

  static String shown(JsonNode node) {
    return node.isDouble() || node.isInt() || node.isLong() || node.isBoolean()
        ? node.asText()
        : ModelFormatException.quote(node.isTextual() ? node.textValue() : node.toString());
  }

  private JsonNode typed(String key, JsonNodeType type, String expected) {
    JsonNode node = node(key);
    if (node != null && node.getNodeType() != type) {
      throw unexpected(key, shown(node), expected);
    }
    return node;
  }
}
