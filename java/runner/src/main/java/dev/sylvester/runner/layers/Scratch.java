package dev.sylvester.runner.layers;

import dev.sylvester.kernels.Workspace;
import dev.sylvester.runner.format.ModelConfig;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/**
 * Activations of up to {@code rows} tokens. Slices are made here, once, so that a forward pass
 * allocates nothing.
 */
final class Scratch implements AutoCloseable {
  private static final long ALIGNMENT = 64;

  /** Where a layer's products go; layers differ when the file mixes types. */
  record LayerOutputs(
      Projection.Outputs queryKeyValue,
      Projection.Outputs hiddenOfAttention,
      Projection.Outputs gateUp,
      Projection.Outputs hiddenOfFeedForward) {}

  private final Arena arena = Arena.ofShared();

  final int rows;
  final long hiddenBytes;
  final long queryKeyValueStride;
  final long attentionStride;
  final long gateUpStride;
  final MemorySegment ids;
  final MemorySegment positions;
  final MemorySegment ropeTable;
  final MemorySegment hidden;
  final MemorySegment normed;
  final MemorySegment queries;
  final MemorySegment keys;
  final MemorySegment values;
  final MemorySegment attention;
  final MemorySegment gate;
  final MemorySegment up;
  final MemorySegment activated;
  final RowSlices hiddenRows;
  final RowSlices normedRows;
  final RowSlices queryRows;
  final RowSlices keyRows;
  final RowSlices valueRows;
  final RowSlices attentionRows;
  final LayerOutputs[] layers;
  final Workspace workspace = new Workspace();

  /** Of all rows. */
  AdapterSet adapters;

  /** Of each row, where they differ; otherwise null. */
  AdapterSet[] adaptersOfRows;

  private MemorySegment product = MemorySegment.NULL;

  Scratch(Weights weights, int rows) {
    ModelConfig c = weights.config();
    this.rows = rows;
    hiddenBytes = (long) c.hiddenSize() * Float.BYTES;
    adapters = weights.adapters();
    attentionStride = (long) c.heads() * c.headDim();
    long keyCols = (long) c.kvHeads() * c.headDim();
    queryKeyValueStride = attentionStride + 2 * keyCols;
    gateUpStride = 2L * c.intermediateSize();
    ids = arena.allocate(ValueLayout.JAVA_INT, rows);
    positions = arena.allocate(ValueLayout.JAVA_INT, rows);
    ropeTable = floats(c.rope().dims());
    hidden = floats(c.hiddenSize());
    normed = floats(c.hiddenSize());
    queries = floats(queryKeyValueStride);
    keys = queries.asSlice(attentionStride * Float.BYTES);
    values = keys.asSlice(keyCols * Float.BYTES);
    attention = floats(attentionStride);
    gate = floats(gateUpStride);
    up = gate.asSlice((long) c.intermediateSize() * Float.BYTES);
    activated = floats(c.intermediateSize());
    hiddenRows = new RowSlices(hidden, c.hiddenSize(), rows);
    normedRows = new RowSlices(normed, c.hiddenSize(), rows);
    queryRows = new RowSlices(queries, queryKeyValueStride, rows);
    keyRows = new RowSlices(keys, queryKeyValueStride, rows);
    valueRows = new RowSlices(values, queryKeyValueStride, rows);
    attentionRows = new RowSlices(attention, attentionStride, rows);
    layers =
        weights.layers().stream()
            .map(
                layer ->
                    new LayerOutputs(
                        layer.queryKeyValue().outputs(queries),
                        layer.output().outputs(hidden),
                        layer.gateUp().outputs(gate),
                        layer.down().outputs(hidden)))
            .toArray(LayerOutputs[]::new);
  }

  AdapterSet adaptersOf(int row) {
    return adaptersOfRows == null ? adapters : adaptersOfRows[row];
  }

  /** Whether adapters scale what a projection's own weights give for one of the first rows. */
  boolean gained(Projection projection, int rows) {
    if (adaptersOfRows == null) {
      return adapters.gain(projection) != null;
    }
    return Arrays.stream(adaptersOfRows, 0, rows).anyMatch(set -> set.gain(projection) != null);
  }

  /** Room for so many floats, outputs of weights before they are scaled. */
  MemorySegment product(long floats) {
    if (product.byteSize() < floats * Float.BYTES) {
      product = arena.allocate(floats * Float.BYTES, ALIGNMENT);
    }
    return product;
  }

  private MemorySegment floats(long cols) {
    return arena.allocate(Math.multiplyExact(rows * cols, (long) Float.BYTES), ALIGNMENT);
  }

  @Override
  public void close() {
    workspace.close();
    arena.close();
  }
}
