package dev.sylvester.runner.layers;

import dev.sylvester.kernels.DType;
import dev.sylvester.kernels.Matrix;
import dev.sylvester.kernels.ThreadPool;
import dev.sylvester.kernels.Workspace;
import dev.sylvester.runner.format.ModelFile;
import dev.sylvester.runner.format.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
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

  private record Change(LayerAdapters.Delta delta, long firstOutput) {}

  private final List<Group> groups;
  private final List<Change> changes;

  private Projection(List<Group> groups, List<Change> changes) {
    this.groups = groups;
    this.changes = changes;
  }

  static Projection load(
      ModelFile file,
      List<Part> parts,
      long cols,
      LayerAdapters adapters,
      Arena arena,
      ThreadPool pool) {
    List<Group> groups = new ArrayList<>();
    long first = 0;
    for (int i = 0; i < parts.size(); ) {
      int end = endOfGroup(file, parts, i, cols);
      List<Part> members = parts.subList(i, end);
      groups.add(group(file, members, cols, first, arena, pool));
      first += members.stream().mapToLong(Part::rows).sum();
      i = end;
    }
    return new Projection(List.copyOf(groups), changes(parts, cols, adapters));
  }

  private static List<Change> changes(List<Part> parts, long cols, LayerAdapters adapters) {
    List<Change> changes = new ArrayList<>();
    long first = 0;
    for (Part part : parts) {
      for (LayerAdapters.Delta delta : adapters.of(part.name(), part.rows(), cols)) {
        changes.add(new Change(delta, first));
      }
      first += part.rows();
    }
    return List.copyOf(changes);
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
   * Where {@link #multiply} puts the outputs of each matrix and adapter, worked out once for a
   * buffer.
   */
  MemorySegment[] outputs(MemorySegment y) {
    return LongStream.concat(
            groups.stream().mapToLong(Group::firstOutput),
            changes.stream().mapToLong(Change::firstOutput))
        .mapToObj(first -> y.asSlice(first * Float.BYTES))
        .toArray(MemorySegment[]::new);
  }

  /** y = W x + bias, or y += W x + bias, for each of m rows. */
  void multiply(
      MemorySegment x,
      long xStride,
      long m,
      boolean accumulate,
      MemorySegment[] outputs,
      long yStride,
      Workspace workspace,
      ThreadPool pool) {
    for (int i = 0; i < groups.size(); i++) {
      Group group = groups.get(i);
      group
          .matrix()
          .multiply(x, xStride, m, group.bias(), accumulate, outputs[i], yStride, workspace, pool);
    }
    for (int i = 0; i < changes.size(); i++) {
      LayerAdapters.Delta delta = changes.get(i).delta();
      MemorySegment y = outputs[groups.size() + i];
      delta.adapter().apply(delta.scale(), x, xStride, m, true, y, yStride, workspace, pool);
    }
  }
}
