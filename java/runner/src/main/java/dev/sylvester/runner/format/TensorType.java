package dev.sylvester.runner.format;

import dev.sylvester.kernels.DType;
import java.util.Optional;

/**
 * Every element type a model file may name, with its layout. Files may hold tensors of types the
 * kernels cannot compute with; only using such a tensor is an error.
 */
public enum TensorType {
  F32(DType.F32),
  F16(DType.F16),
  Q4_0(DType.Q4_0),
  Q4_1(DType.Q4_1),
  Q5_0(DType.Q5_0),
  Q5_1(DType.Q5_1),
  Q8_0(DType.Q8_0),
  Q8_1(9, 32, 36),
  Q2_K(10, 256, 84),
  Q3_K(11, 256, 110),
  Q4_K(DType.Q4_K),
  Q5_K(DType.Q5_K),
  Q6_K(DType.Q6_K),
  Q8_K(15, 256, 292),
  IQ2_XXS(16, 256, 66),
  IQ2_XS(17, 256, 74),
  IQ3_XXS(18, 256, 98),
  IQ1_S(19, 256, 50),
  IQ4_NL(20, 32, 18),
  IQ3_S(21, 256, 110),
  IQ2_S(22, 256, 82),
  IQ4_XS(23, 256, 136),
  I8(24, 1, 1),
  I16(25, 1, 2),
  I32(26, 1, 4),
  I64(27, 1, 8),
  F64(28, 1, 8),
  IQ1_M(29, 256, 56),
  BF16(DType.BF16),
  TQ1_0(34, 256, 54),
  TQ2_0(35, 256, 66),
  MXFP4(39, 32, 17),
  NVFP4(40, 64, 36),
  Q1_0(41, 128, 18),
  BOOL(-1, 1, 1),
  U8(-1, 1, 1),
  U16(-1, 1, 2),
  U32(-1, 1, 4),
  U64(-1, 1, 8),
  C64(-1, 1, 8),
  F8_E4M3(-1, 1, 1),
  F8_E5M2(-1, 1, 1),
  F8_E8M0(-1, 1, 1);

  private static final TensorType[] BY_GGML_NUMBER = new TensorType[64];

  static {
    for (TensorType type : values()) {
      if (type.ggmlNumber >= 0) {
        BY_GGML_NUMBER[type.ggmlNumber] = type;
      }
    }
  }

  private final int ggmlNumber;
  private final int blockSize;
  private final int blockBytes;
  private final DType kernelType;

  TensorType(DType kernelType) {
    this(kernelType.id(), kernelType.blockSize(), kernelType.blockBytes(), kernelType);
  }

  TensorType(int ggmlNumber, int blockSize, int blockBytes) {
    this(ggmlNumber, blockSize, blockBytes, null);
  }

  TensorType(int ggmlNumber, int blockSize, int blockBytes, DType kernelType) {
    this.ggmlNumber = ggmlNumber;
    this.blockSize = blockSize;
    this.blockBytes = blockBytes;
    this.kernelType = kernelType;
  }

  /** The type with this number in a GGUF file, or null. */
  static TensorType ofGgml(long number) {
    return number >= 0 && number < BY_GGML_NUMBER.length ? BY_GGML_NUMBER[(int) number] : null;
  }

  /** The type of this name in a safetensors header, or null. */
  static TensorType ofSafetensors(String name) {
    return switch (name) {
      case "F64" -> F64;
      case "F32" -> F32;
      case "F16" -> F16;
      case "BF16" -> BF16;
      case "I64" -> I64;
      case "I32" -> I32;
      case "I16" -> I16;
      case "I8" -> I8;
      case "U64" -> U64;
      case "U32" -> U32;
      case "U16" -> U16;
      case "U8" -> U8;
      case "BOOL" -> BOOL;
      case "C64" -> C64;
      case "F8_E4M3" -> F8_E4M3;
      case "F8_E5M2" -> F8_E5M2;
      case "F8_E8M0" -> F8_E8M0;
      default -> null;
    };
  }

  /** The number in a GGUF file, or -1. */
  int ggmlNumber() {
    return ggmlNumber;
  }

  /** Elements stored together; 1 for plain types. */
  public int blockSize() {
    return blockSize;
  }

  /** Bytes of one block. */
  public int blockBytes() {
    return blockBytes;
  }

  /** The kernels' type with this layout; empty when they have none. */
  public Optional<DType> kernelType() {
    return Optional.ofNullable(kernelType);
  }
}
