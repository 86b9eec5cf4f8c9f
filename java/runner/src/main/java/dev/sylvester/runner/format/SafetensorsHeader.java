package dev.sylvester.runner.format;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.Reader;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * The header of a safetensors file: a length of 8 bytes, JSON, then the tensors' bytes. As in the
 * format's reference reader, the tensors must cover the data without gap or overlap.
 */
final class SafetensorsHeader {
  private static final int LENGTH_BYTES = 8;
  private static final long MOST_HEADER_BYTES = 100_000_000; // the reference reader's limit
  private static final int MOST_TENSORS = 1 << 16;
  private static final int MOST_DIMENSIONS = 8;

  private final Path file;
  private final JsonParser json;
  private final long dataStart;
  private final long dataBytes;
  private final Map<String, String> metadata;

  private SafetensorsHeader(
      Path file, JsonParser json, long dataStart, long dataBytes, Map<String, String> metadata) {
    this.file = file;
    this.json = json;
    this.dataStart = dataStart;
    this.dataBytes = dataBytes;
    this.metadata = metadata;
  }

  /** The tensors, in the order of their bytes. */
  static List<TensorInfo> parse(Path file, MemorySegment data) {
    return parse(file, data, new HashMap<>());
  }

  /** As above; the file's own texts go into {@code metadata}. */
  static List<TensorInfo> parse(Path file, MemorySegment data, Map<String, String> metadata) {
    if (data.byteSize() < LENGTH_BYTES) {
      throw new ModelFormatException(
          file, data.byteSize() + " bytes are too short for a safetensors file");
    }
    long length = data.get(GgufCursor.LONG, 0);
    long available = data.byteSize() - LENGTH_BYTES;
    if (length < 2 || length > available || length > MOST_HEADER_BYTES) {
      throw new ModelFormatException(
          file,
          "header length is "
              + Long.toUnsignedString(length)
              + ", expected 2 to "
              + Math.min(available, MOST_HEADER_BYTES));
    }
    byte[] header = data.asSlice(LENGTH_BYTES, length).toArray(ValueLayout.JAVA_BYTE);
    // Through a strict decoder: Jackson itself would guess other encodings and pass bad bytes on.
    Reader text =
        new InputStreamReader(
            new ByteArrayInputStream(header), StandardCharsets.UTF_8.newDecoder());
    try (JsonParser json = JsonSettings.FACTORY.createParser(text)) {
      return new SafetensorsHeader(file, json, LENGTH_BYTES + length, available - length, metadata)
          .parse();
    } catch (CharacterCodingException e) {
      throw new ModelFormatException(file, "the header is not UTF-8", e);
    } catch (IOException e) {
      throw JsonSettings.malformed(file, e);
    }
  }

  private List<TensorInfo> parse() throws IOException {
    if (json.nextToken() != JsonToken.START_OBJECT) {
      throw error("the header is not a JSON object");
    }
    List<TensorInfo> tensors = new ArrayList<>();
    while (json.nextToken() != JsonToken.END_OBJECT) {
      String name = json.currentName();
      json.nextToken();
      if (name.equals("__metadata__")) {
        parseMetadata();
      } else if (tensors.size() == MOST_TENSORS) {
        throw error("more than " + MOST_TENSORS + " tensors");
      } else {
        tensors.add(parseTensor(name));
      }
    }
    if (json.nextToken() != null) {
      throw error("text after the header's JSON object");
    }
    return checkCover(TensorInfo.sortedWithoutOverlap(file, tensors));
  }

  /** Texts by name; whatever else is there means nothing. */
  private void parseMetadata() throws IOException {
    if (json.currentToken() != JsonToken.START_OBJECT) {
      json.skipChildren();
      return;
    }
    while (json.nextToken() != JsonToken.END_OBJECT) {
      String key = json.currentName();
      if (json.nextToken() == JsonToken.VALUE_STRING) {
        metadata.put(key, json.getText());
      } else {
        json.skipChildren();
      }
    }
  }

  private TensorInfo parseTensor(String name) throws IOException {
    String what = "tensor " + ModelFormatException.quote(name);
    expect(JsonToken.START_OBJECT, what, "an object");
    TensorType type = null;
    long[] shape = null;
    long[] offsets = null;
    while (json.nextToken() != JsonToken.END_OBJECT) {
      String key = json.currentName();
      json.nextToken();
      switch (key) {
        case "dtype" -> type = parseType(what);
        case "shape" -> shape = parseSizes(what + ": shape", MOST_DIMENSIONS);
        case "data_offsets" -> offsets = parseSizes(what + ": data_offsets", 2);
        default -> json.skipChildren();
      }
    }
    if (type == null || shape == null || offsets == null || offsets.length != 2) {
      String lacking = type == null ? "dtype" : shape == null ? "shape" : "a pair of data_offsets";
      throw error(what + " lacks " + lacking);
    }
    long bytes = TensorInfo.bytes(type, shape);
    if (bytes < 0) {
      throw error(what + " has shape " + Tensor.shapeText(shape) + ", too large for " + type);
    }
    if (offsets[0] > offsets[1] || offsets[1] > dataBytes) {
      throw error(
          what
              + " has data_offsets "
              + Tensor.shapeText(offsets)
              + ", with "
              + dataBytes
              + " bytes of data");
    }
    if (offsets[1] - offsets[0] != bytes) {
      throw error(
          what
              + " has "
              + (offsets[1] - offsets[0])
              + " bytes, but shape "
              + Tensor.shapeText(shape)
              + " of "
              + type
              + " takes "
              + bytes);
    }
    return new TensorInfo(name, type, shape, dataStart + offsets[0], bytes);
  }

  private TensorType parseType(String what) throws IOException {
    expect(JsonToken.VALUE_STRING, what + ": dtype", "a string");
    TensorType type = TensorType.ofSafetensors(json.getText());
    if (type == null) {
      throw error(what + " has unknown dtype " + ModelFormatException.quote(json.getText()));
    }
    return type;
  }

  private long[] parseSizes(String what, int most) throws IOException {
    expect(JsonToken.START_ARRAY, what, "an array");
    long[] sizes = new long[most];
    int count = 0;
    while (json.nextToken() != JsonToken.END_ARRAY) {
      if (count == most) {
        throw error(what + " has more than " + most + " numbers");
      }
      // Checked here: Jackson's own complaint would repeat any number of digits.
      if (json.currentToken() != JsonToken.VALUE_NUMBER_INT
          || json.getNumberType() == JsonParser.NumberType.BIG_INTEGER
          || json.getLongValue() < 0) {
        throw error(what + " has " + shown() + ", expected integers");
      }
      sizes[count++] = json.getLongValue();
    }
    return Arrays.copyOf(sizes, count);
  }

  private List<TensorInfo> checkCover(List<TensorInfo> sorted) {
    long end = dataStart;
    for (TensorInfo tensor : sorted) {
      if (tensor.offset() != end) {
        throw error(
            "tensor "
                + ModelFormatException.quote(tensor.name())
                + " starts at byte "
                + tensor.offset()
                + ", but the bytes before it end at "
                + end);
      }
      end = tensor.end();
    }
    if (end != dataStart + dataBytes) {
      throw error((dataStart + dataBytes - end) + " bytes after the last tensor");
    }
    return sorted;
  }

  private void expect(JsonToken token, String what, String expected) throws IOException {
    if (json.currentToken() != token) {
      throw error(what + " is " + shown() + ", expected " + expected);
    }
  }

  private String shown() throws IOException {
    return ModelFormatException.quote(String.valueOf(json.getText()));
  }

  private ModelFormatException error(String problem) {
    return new ModelFormatException(file, problem);
  }
}
