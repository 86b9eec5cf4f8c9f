package dev.sylvester.runner.format;

/** Types of GGUF metadata values; the ordinal is the number in the file. */
enum GgufValueType {
  UINT8(1),
  INT8(1),
  UINT16(2),
  INT16(2),
  UINT32(4),
  INT32(4),
  FLOAT32(4),
  BOOL(1),
  STRING(0),
  ARRAY(0),
  UINT64(8),
  INT64(8),
  FLOAT64(8);

  private static final GgufValueType[] VALUES = values();

  /** Bytes of a value; 0 where they vary. */
  final int bytes;

  GgufValueType(int bytes) {
    this.bytes = bytes;
  }

  /** The type with this number, or null. */
  static GgufValueType of(int number) {
    return number >= 0 && number < VALUES.length ? VALUES[number] : null;
  }
}
