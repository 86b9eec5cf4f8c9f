package dev.sylvester.runner.layers;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import dev.sylvester.kernels.DType;
import dev.sylvester.kernels.Matrix;
import dev.sylvester.kernels.ThreadPool;
import dev.sylvester.runner.format.ModelFile;
import dev.sylvester.runner.format.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

/**
 * Linear layers that share their input, their outputs side by side: query, key and value, or gate
 * and up. Neighbours of one type are one packed matrix; files that mix types need more. Adapters
 * add to the outputs.
 */
final class Projection {
  /** One linear layer of the file, {@code NAME.weight} and perhaps {@code NAME.bias}. */
  record Part(String name, long rows, boolean bias) {}

  private record Group(Matrix matrix, MemorySegment bias, long firstOutput) {}

  private final int index;
  private final List<Part> parts;
  private final long cols;
  private final List<Group> groups;

  private Projection(int index, List<Part> parts, long cols, List<Group> groups) {
    this.index = index;
    this.parts = parts;
    this.cols = cols;
    this.groups = groups;
  }

  static Projection load(
      ModelFile file, int index, List<Part> parts, long cols, Arena arena, ThreadPool pool) {
    List<Group> groups = new ArrayList<>();
    long first = 0;
    for (int i = 0; i < parts.size(); ) {
      int end = endOfGroup(file, parts, i, cols);
      List<Part> members = parts.subList(i, end);
      groups.add(group(file, members, cols, first, arena, pool));
      first += members.stream().mapToLong(Part::rows).sum();
      i = end;
    }
    return new Projection(index, parts, cols, List.copyOf(groups));
  }

  /** Its place among the model's. */
  int index() {
    return index;
  }

  List<Part> parts() {
    return parts;
  }

  /** Inputs. */
  long cols() {
    return cols;
  }

  /** Outputs. */
  long rows() {
    return firstOutput(parts.size());
  }

  /** Where the outputs of a part begin. */
  long firstOutput(int part) {
    return parts.stream().limit(part).mapToLong(Part::rows).sum();
  }

  /** The matrix, where one without bias is all there is; else null. */
  Matrix onlyMatrix() {
    return groups.size() == 1 && groups.getFirst().bias == null ? groups.getFirst().matrix : null;
  }

  private static int endOfGroup(ModelFile file, List<Part> parts, int begin, long cols) {
    DType type = weight(file, parts.get(begin), cols).dtype();
    int end = begin + 1;
    while (end < parts.size()
        && weight(file, parts.get(end), cols).dtype() == type
        && parts.get(end - 1).rows() % Matrix.PANEL_ROWS == 0) {
      end++;
    }
    return end;
  }

  private static Tensor weight(ModelFile file, Part part, long cols) {
    return file.require(part.name() + ".weight", part.rows(), cols);
  }

  private static Group group(
      ModelFile file, List<Part> parts, long cols, long first, Arena arena, ThreadPool pool) {
    List<Matrix.Part> sources = new ArrayList<>();
    for (Part part : parts) {
      sources.add(new Matrix.Part(part.rows(), weight(file, part, cols).data()));
    }
    DType type = weight(file, parts.getFirst(), cols).dtype();
    Matrix matrix = Matrix.packAll(type, cols, sources, arena, pool);
    return new Group(matrix, bias(file, parts, matrix.rows(), arena), first);
  }

  private static MemorySegment bias(ModelFile file, List<Part> parts, long rows, Arena arena) {
    if (parts.stream().noneMatch(Part::bias)) {
      return null;
    }
    MemorySegment bias = arena.allocate(ValueLayout.JAVA_FLOAT, rows);
    long first = 0;
    for (Part part : parts) {
      if (part.bias()) {
        Vector.read(
            file.require(part.name() + ".bias", part.rows()),
            bias.asSlice(first * Float.BYTES, part.rows() * Float.BYTES));
      }
      first += part.rows();
    }
    return bias;
  }

  /**
   * Where {@link #multiply} puts outputs, worked out once for a buffer.
   *
   * @param ofMatrices where those of each packed matrix begin
   * @param ofParts the same for each layer
   */
  record Outputs(MemorySegment[] ofMatrices, MemorySegment[] ofParts) {}

  Outputs outputs(MemorySegment y) {
    return new Outputs(
        slices(y, groups.stream().mapToLong(Group::firstOutput)),
        slices(y, IntStream.range(0, parts.size()).mapToLong(this::firstOutput)));
  }

  private static MemorySegment[] slices(MemorySegment y, LongStream firstOutputs) {
    return firstOutputs
        .mapToObj(first -> y.asSlice(first * Float.BYTES))
        .toArray(MemorySegment[]::new);
  }

  /** y = W x + bias, or y += W x + bias, for each of m rows; and what their adapters add. */
  void multiply(
      MemorySegment x,
      long xStride,
      int m,
      boolean accumulate,
      Outputs outputs,
      long yStride,
      Scratch s,
      ThreadPool pool) {
    boolean gained = s.gained(this, m);
    for (int i = 0; i < groups.size(); i++) {
      Group group = groups.get(i);
      MemorySegment y = outputs.ofMatrices[i];
      Matrix matrix = group.matrix;
      if (gained) {
        MemorySegment product = s.product(m * matrix.rows());
        matrix.multiply(x, xStride, m, null, false, product, matrix.rows(), s.workspace, pool);
        addGained(group, product, m, accumulate, y, yStride, s);
      } else {
        matrix.multiply(x, xStride, m, group.bias, accumulate, y, yStride, s.workspace, pool);
      }
    }
    if (s.adaptersOfRows == null) {
      s.adapters.apply(this, x, xStride, m, outputs.ofParts, yStride, s, pool);
    } else {
      AdapterSet.apply(s.adaptersOfRows, this, x, xStride, m, outputs.ofParts, yStride, s, pool);
    }
  }

  /** y = gain product + bias, or y += that. */
  private void addGained(
      Group group,
      MemorySegment product,
      int m,
      boolean accumulate,
      MemorySegment y,
      long yStride,
      Scratch s) {
    int rows = (int) group.matrix.rows();
    int first = (int) group.firstOutput;
    for (int row = 0; row < m; row++) {
      float[] gain = s.adaptersOf(row).gain(this);
      for (int o = 0; o < rows; o++) {
        float value = product.getAtIndex(JAVA_FLOAT, (long) row * rows + o);
        value = gain == null ? value : gain[first + o] * value;
        value += group.bias == null ? 0 : group.bias.getAtIndex(JAVA_FLOAT, o);
        long at = row * yStride + o;
        y.setAtIndex(JAVA_FLOAT, at, accumulate ? y.getAtIndex(JAVA_FLOAT, at) + value : value);
      }
    }
  }
}
