package dev.sylvester.runner.layers;

import dev.sylvester.kernels.KronAdapter;
import dev.sylvester.kernels.KronAdapter.Segment;
import dev.sylvester.kernels.ThreadPool;
import dev.sylvester.runner.layers.PackedAdapter.Change;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;

/** Adapters, each with a scale, that are added up beside a model's weights. Immutable. */
public final class AdapterSet {
  /** The model as it is. */
  public static final AdapterSet NONE = new AdapterSet(new Added[0], List.of());

  private static final Added NOTHING = new Added(List.of(), null);

  /**
   * One of them.
   *
   * @param adapter what it adds
   * @param scale factor on it
   */
  public record Scaled(PackedAdapter adapter, float scale) {}

  /**
   * What a projection gets.
   *
   * @param changes in the order of the adapters
   * @param gain factor on each output of the projection's own weights, or null for 1
   */
  private record Added(List<Change> changes, float[] gain) {}

  private final Added[] added;
  private final List<EmbeddingChange> embeddings;

  private AdapterSet(Added[] added, List<EmbeddingChange> embeddings) {
    this.added = added;
    this.embeddings = embeddings;
  }

  /**
   * The sum of some.
   *
   * @param adapters packed for these weights
   * @throws IllegalArgumentException when a scale is too large
   */
  public static AdapterSet of(List<Scaled> adapters, Weights weights) {
    if (adapters.isEmpty()) {
      return NONE;
    }
    Added[] added = new Added[weights.projections().size()];
    for (Projection projection : weights.projections()) {
      added[projection.index()] = added(adapters, projection, weights);
    }
    List<EmbeddingChange> embeddings =
        adapters.stream()
            .map(each -> each.adapter.embedding(each.scale))
            .filter(Objects::nonNull)
            .toList();
    return new AdapterSet(added, embeddings);
  }

  private static Added added(List<Scaled> adapters, Projection projection, Weights weights) {
    List<Change> changes = new ArrayList<>();
    float[] gain = null;
    for (Scaled each : adapters) {
      for (Change change : each.adapter.changes()) {
        if (change.projection() != projection.index()) {
          continue;
        }
        float scale = each.adapter.scaled(change, each.scale, weights);
        changes.add(new Change(change.projection(), change.part(), change.adapter(), scale, null));
        if (change.gains() != null) {
          if (gain == null) {
            gain = new float[(int) projection.rows()];
            Arrays.fill(gain, 1);
          }
          int first = (int) projection.firstOutput(change.part());
          for (int o = 0; o < change.gains().length; o++) {
            gain[first + o] += each.scale * change.gains()[o];
          }
        }
      }
    }
    return changes.isEmpty() ? NOTHING : new Added(List.copyOf(changes), gain);
  }

  private Added of(Projection projection) {
    return added.length == 0 ? NOTHING : added[projection.index()];
  }

  /** Whether a projection gets anything. */
  boolean changes(Projection projection) {
    return !of(projection).changes.isEmpty();
  }

  /** Factors on the outputs of a projection's own weights, or null where they are 1. */
  float[] gain(Projection projection) {
    return of(projection).gain;
  }

  /** Adds to the embedding of a token, which is a row of hidden states. */
  void addToEmbedding(MemorySegment hidden, int row, int token) {
    for (int i = 0; i < embeddings.size(); i++) {
      embeddings.get(i).addTo(hidden, row, token);
    }
  }

  /** y += delta x for all rows. */
  void apply(
      Projection projection,
      MemorySegment x,
      long xStride,
      int rows,
      MemorySegment[] y,
      long yStride,
      Scratch s,
      ThreadPool pool) {
    List<Change> changes = of(projection).changes;
    for (int i = 0; i < changes.size(); i++) {
      Change change = changes.get(i);
      MemorySegment part = y[change.part()];
      change
          .adapter()
          .apply(change.scale(), x, xStride, rows, true, part, yStride, s.workspace, pool);
    }
  }

  /** The same for rows with sets of their own: the bits that each has alone. */
  static void apply(
      AdapterSet[] ofRows,
      Projection projection,
      MemorySegment x,
      long xStride,
      int rows,
      MemorySegment[] y,
      long yStride,
      Scratch s,
      ThreadPool pool) {
    for (int part = 0; part < projection.parts().size(); part++) {
      for (int nth = 0; ; nth++) {
        List<Segment> segments = new ArrayList<>();
        for (int row = 0; row < rows; row++) {
          segments.add(ofRows[row].segment(projection, part, nth));
        }
        if (segments.stream().allMatch(segment -> segment.adapter() == null)) {
          break;
        }
        KronAdapter.applySegments(
            segments,
            projection.parts().get(part).rows(),
            projection.cols(),
            x,
            xStride,
            true,
            y[part],
            yStride,
            s.workspace,
            pool);
      }
    }
  }

  /** One row with the nth change of a part, if there are as many. */
  private Segment segment(Projection projection, int part, int nth) {
    int left = nth;
    for (Change change : of(projection).changes) {
      if (change.part() == part && left-- == 0) {
        return new Segment(1, change.adapter(), change.scale());
      }
    }
    return new Segment(1, null, 1);
  }
}
