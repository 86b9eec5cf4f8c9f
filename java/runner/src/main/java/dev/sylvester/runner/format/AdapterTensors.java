package dev.sylvester.runner.format;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import dev.sylvester.kernels.DType;
import dev.sylvester.kernels.KronFactors;
import dev.sylvester.kernels.KronShape;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The tensors of an adapter's file, each of which must be of use. */
final class AdapterTensors {
  private final Path file;
  private final Map<String, Tensor> tensors;
  private final Arena arena;
  private final Arena scratch;
  private final Set<String> used = new HashSet<>();

  /**
   * Reads nothing yet.
   *
   * @param arena owns factors
   * @param scratch lives while the file is read
   */
  AdapterTensors(Path file, Map<String, Tensor> tensors, Arena arena, Arena scratch) {
    this.file = file;
    this.tensors = tensors;
    this.arena = arena;
    this.scratch = scratch;
  }

  /** What the first group of the pattern matches in names, in their order. */
  Set<String> modules(Pattern pattern) {
    Set<String> modules = new LinkedHashSet<>();
    for (String name : tensors.keySet()) {
      Matcher matcher = pattern.matcher(name);
      if (matcher.matches()) {
        modules.add(matcher.group(1));
      }
    }
    return modules;
  }

  boolean has(String name) {
    return tensors.containsKey(name);
  }

  Tensor require(String name) {
    Tensor tensor = tensors.get(name);
    if (tensor == null) {
      throw error("lacks tensor " + ModelFormatException.quote(name));
    }
    used.add(name);
    return tensor;
  }

  /** A matrix of at least one element. */
  Tensor matrix(String name) {
    Tensor tensor = require(name);
    if (tensor.shape().length != 2 || tensor.elements() == 0) {
      throw tensor.error("shape " + Tensor.shapeText(tensor.shape()) + ", expected a matrix");
    }
    return tensor;
  }

  /** LoRA, B A: V_k is row k of A, U_k column k of B. */
  KronFactors lora(Tensor a, Tensor b, long rank) {
    long in = a.shape()[1];
    long out = b.shape()[0];
    a.require(rank, in);
    b.require(out, rank);
    MemorySegment u = Matrices.transposed(b.finiteFloats(scratch), out, rank, arena);
    return KronFactors.of(DType.F32, rank, KronShape.lora(out, in), u, a.finiteFloats(arena));
  }

  /** LoRA of an embedding, (B A)^T: U_k is row k of A, V_k column k of B. */
  KronFactors embedding(Tensor a, Tensor b, long rank) {
    long tokens = a.shape()[1];
    long width = b.shape()[0];
    a.require(rank, tokens);
    b.require(width, rank);
    MemorySegment v = Matrices.transposed(b.finiteFloats(scratch), width, rank, arena);
    return KronFactors.of(DType.F32, rank, KronShape.lora(tokens, width), a.finiteFloats(arena), v);
  }

  /** Leaves a tensor alone that a file may have. */
  void ignore(String name, long... shape) {
    if (has(name)) {
      require(name).require(shape);
    }
  }

  /** LoKr, w1 (x) w2, either of them whole or the product of two parts of this rank. */
  KronFactors lokr(String module, long rank) {
    Factor left = factor(module + ".lokr_w1", rank);
    Factor right = factor(module + ".lokr_w2", rank);
    KronShape shape = new KronShape(left.rows, left.columns, right.rows, right.columns);
    return KronFactors.of(DType.F32, 1, shape, left.values, right.values);
  }

  private record Factor(long rows, long columns, MemorySegment values) {}

  private Factor factor(String name, long rank) {
    if (has(name)) {
      Tensor whole = matrix(name);
      return new Factor(whole.shape()[0], whole.shape()[1], whole.finiteFloats(arena));
    }
    Tensor a = matrix(name + "_a");
    Tensor b = matrix(name + "_b");
    long rows = a.shape()[0];
    long columns = b.shape()[1];
    a.require(rows, rank);
    b.require(rank, columns);
    MemorySegment left = a.finiteFloats(scratch);
    MemorySegment right = b.finiteFloats(scratch);
    MemorySegment product = arena.allocate(rows * columns * Float.BYTES, 64);
    for (long i = 0; i < rows; i++) {
      for (long j = 0; j < columns; j++) {
        double sum = 0;
        for (long k = 0; k < rank; k++) {
          sum +=
              (double) left.getAtIndex(JAVA_FLOAT, i * rank + k)
                  * right.getAtIndex(JAVA_FLOAT, k * columns + j);
        }
        product.setAtIndex(JAVA_FLOAT, i * columns + j, (float) sum);
      }
    }
    return new Factor(rows, columns, product);
  }

  /** A vector of floats. */
  float[] vector(String name, long size) {
    return require(name).require(size).finiteFloats(scratch).toArray(JAVA_FLOAT);
  }

  /** The scale as a float, when it is one. */
  float scale(String module, double scale) {
    if (!Float.isFinite((float) scale)) {
      throw error("module " + ModelFormatException.quote(module) + " has the scale " + scale);
    }
    return (float) scale;
  }

  /** After all modules were read. */
  void requireAllUsed(String kind) {
    if (tensors.isEmpty()) {
      throw error("has no tensors");
    }
    for (String name : tensors.keySet()) {
      if (!used.contains(name)) {
        throw error("tensor " + ModelFormatException.quote(name) + " is no part of " + kind);
      }
    }
  }

  ModelFormatException error(String problem) {
    return new ModelFormatException(file, problem);
  }
}
