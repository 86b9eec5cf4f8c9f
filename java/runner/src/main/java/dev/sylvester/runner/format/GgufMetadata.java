package dev.sylvester.runner.format;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.Set;

/**
 * The metadata of a GGUF file. Values stay in the mapped file and are decoded when asked for: a
 * vocabulary costs nothing until a tokenizer needs it.
 */
public final class GgufMetadata extends Settings {
  // Far above any real chat template or vocabulary; a hostile file must not fill the heap.
  private static final long MOST_STRING_BYTES = 1 << 24;
  private static final long MOST_ARRAY_BYTES = 1 << 27;
  private static final long MOST_ELEMENTS = 1 << 22;

  /**
   * A value in the file.
   *
   * @param elementType of an array, otherwise null
   * @param count elements of an array, otherwise 1
   * @param data the bytes; of a string without its length
   */
  record Value(GgufValueType type, GgufValueType elementType, long count, MemorySegment data) {
    static Value scalar(GgufValueType type, MemorySegment data) {
      return new Value(type, null, 1, data);
    }

    String typeName() {
      return type == GgufValueType.ARRAY ? "an ARRAY of " + elementType : "of type " + type;
    }
  }

  private final Map<String, Value> values;

  GgufMetadata(Path file, Map<String, Value> values) {
    super(file, "");
    this.values = values;
  }

  /** All keys, in file order. */
  public Set<String> keys() {
    return Collections.unmodifiableSet(values.keySet());
  }

  @Override
  public boolean has(String key) {
    return values.containsKey(key);
  }

  @Override
  public OptionalLong integer(String key) {
    Value value = values.get(key);
    return value == null
        ? OptionalLong.empty()
        : OptionalLong.of(integerAt(key, value, value.type, 0));
  }

  @Override
  public OptionalDouble number(String key) {
    Value value = values.get(key);
    return value == null
        ? OptionalDouble.empty()
        : OptionalDouble.of(numberAt(key, value, value.type, 0));
  }

  @Override
  public Optional<Boolean> bool(String key) {
    Value value = values.get(key);
    if (value == null) {
      return Optional.empty();
    }
    if (value.type != GgufValueType.BOOL) {
      throw unexpected(key, value.typeName(), "a boolean");
    }
    byte bool = value.data.get(ValueLayout.JAVA_BYTE, 0);
    if (bool != 0 && bool != 1) {
      throw unexpected(key, bool, "0 or 1");
    }
    return Optional.of(bool == 1);
  }

  @Override
  public Optional<String> string(String key) {
    Value value = values.get(key);
    if (value == null) {
      return Optional.empty();
    }
    if (value.type != GgufValueType.STRING) {
      throw unexpected(key, value.typeName(), "a string");
    }
    if (value.data.byteSize() > MOST_STRING_BYTES) {
      throw unexpected(key, value.data.byteSize() + " bytes long", "at most " + MOST_STRING_BYTES);
    }
    GgufCursor in = new GgufCursor(file(), value.data);
    in.enter("key", key);
    return Optional.of(in.decode(value.data));
  }

  /** An array of strings; empty when the key is absent. */
  public List<String> strings(String key) {
    Value value = values.get(key);
    if (value == null) {
      return List.of();
    }
    if (value.elementType != GgufValueType.STRING) {
      throw unexpected(key, value.typeName(), "an array of strings");
    }
    int count = checkedCount(key, value);
    List<String> strings = new ArrayList<>(count);
    GgufCursor in = new GgufCursor(file(), value.data);
    in.enter("key", key);
    for (int i = 0; i < count; i++) {
      strings.add(in.decode(in.readStringBytes()));
    }
    return strings;
  }

  /** An array of integers; empty when the key is absent. */
  public int[] integers(String key) {
    Value value = values.get(key);
    if (value == null) {
      return new int[0];
    }
    int[] integers = new int[checkedCount(key, value)];
    for (int i = 0; i < integers.length; i++) {
      long integer = integerAt(key, value, value.elementType, i);
      if (integer != (int) integer) {
        throw unexpected(key, integer, "integers of 32 bits");
      }
      integers[i] = (int) integer;
    }
    return integers;
  }

  /** An array of numbers; empty when the key is absent. */
  public float[] numbers(String key) {
    Value value = values.get(key);
    if (value == null) {
      return new float[0];
    }
    float[] numbers = new float[checkedCount(key, value)];
    for (int i = 0; i < numbers.length; i++) {
      numbers[i] = (float) numberAt(key, value, value.elementType, i);
    }
    return numbers;
  }

  /** The number of elements of an array; 0 when the key is absent. */
  public long count(String key) {
    Value value = values.get(key);
    if (value == null) {
      return 0;
    }
    if (value.type != GgufValueType.ARRAY) {
      throw unexpected(key, value.typeName(), "an array");
    }
    return value.count;
  }

  private int checkedCount(String key, Value value) {
    long count = count(key);
    if (count > MOST_ELEMENTS || value.data.byteSize() > MOST_ARRAY_BYTES) {
      throw unexpected(
          key,
          "an array of " + count + " elements and " + value.data.byteSize() + " bytes",
          "at most " + MOST_ELEMENTS + " and " + MOST_ARRAY_BYTES);
    }
    return (int) count;
  }

  private long integerAt(String key, Value value, GgufValueType type, long index) {
    MemorySegment data = value.data;
    long at = index * type.bytes;
    long integer =
        switch (type) {
          case UINT8 -> Byte.toUnsignedLong(data.get(ValueLayout.JAVA_BYTE, at));
          case INT8 -> data.get(ValueLayout.JAVA_BYTE, at);
          case UINT16 -> Short.toUnsignedLong(data.get(GgufCursor.SHORT, at));
          case INT16 -> data.get(GgufCursor.SHORT, at);
          case UINT32 -> Integer.toUnsignedLong(data.get(GgufCursor.INT, at));
          case INT32 -> data.get(GgufCursor.INT, at);
          case UINT64, INT64 -> data.get(GgufCursor.LONG, at);
          default -> throw unexpected(key, value.typeName(), "an integer");
        };
    if (type == GgufValueType.UINT64 && integer < 0) {
      throw unexpected(key, Long.toUnsignedString(integer), "less than 2^63");
    }
    return integer;
  }

  private double numberAt(String key, Value value, GgufValueType type, long index) {
    long at = index * type.bytes;
    return switch (type) {
      case FLOAT32 -> Float.intBitsToFloat(value.data.get(GgufCursor.INT, at));
      case FLOAT64 -> Double.longBitsToDouble(value.data.get(GgufCursor.LONG, at));
      case BOOL, STRING, ARRAY -> throw unexpected(key, value.typeName(), "a number");
      default -> integerAt(key, value, type, index);
    };
  }
}
