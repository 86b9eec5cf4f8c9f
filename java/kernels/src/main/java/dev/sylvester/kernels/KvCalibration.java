package dev.sylvester.kernels;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import dev.sylvester.kernels.ffi.SylvesterFfi;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Sums of a model's keys, values and queries, from which a {@link KvPlan} takes its means and
 * gains. One call at a time; several calibrations, each on its own thread, can be merged.
 */
public final class KvCalibration implements AutoCloseable {
  private final KvGeometry geometry;
  private final long keyCols;
  private final NativeObject calibration;

  private KvCalibration(KvGeometry geometry, MemorySegment handle) {
    this.geometry = geometry;
    this.keyCols = geometry.keyCols();
    this.calibration = new NativeObject("KvCalibration", handle);
  }

  /**
   * An empty calibration.
   *
   * @param geometry of the model
   * @return the calibration
   */
  public static KvCalibration of(KvGeometry geometry) {
    String function = "KvCalibration.of";
    Args.present(function, "geometry", geometry);
    try (Arena scratch = Arena.ofConfined()) {
      MemorySegment out = scratch.allocate(ADDRESS);
      MemorySegment struct = geometry.toNative(function, scratch);
      SylvesterException.check(SylvesterFfi.syl_kv_calibration_new(struct, out));
      return new KvCalibration(geometry, out.get(ADDRESS, 0));
    }
  }

  /**
   * What the model's attention is.
   *
   * @return the geometry
   */
  public KvGeometry geometry() {
    return geometry;
  }

  /**
   * Adds tokens of a layer: keys and values as a sequence's append would get them.
   *
   * @param layer of the model
   * @param k rows of keyHeads x headDim floats
   * @param kStride from row to row
   * @param v rows of keyHeads x headDim floats
   * @param vStride from row to row
   * @param rows number of tokens
   */
  public void add(
      int layer, MemorySegment k, long kStride, MemorySegment v, long vStride, long rows) {
    String function = "KvCalibration.add";
    Args.input(function, "k", k, Args.floats(function, "k", rows, keyCols, kStride));
    Args.input(function, "v", v, Args.floats(function, "v", rows, keyCols, vStride));
    MemorySegment handle = calibration.begin();
    try {
      SylvesterException.check(
          SylvesterFfi.syl_kv_calibration_add_f32(handle, layer, k, kStride, v, vStride, rows));
    } finally {
      calibration.end();
    }
  }

  /**
   * Adds tokens on the Java heap. For comfort: it copies and allocates.
   *
   * @param layer of the model
   * @param k rows of keyHeads x headDim floats, back to back
   * @param v as many rows
   */
  public void add(int layer, float[] k, float[] v) {
    long rows = Args.rows("KvCalibration.add", "k", k, keyCols);
    Args.sameLength("KvCalibration.add", "k", k, "v", v);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment keys = arena.allocateFrom(JAVA_FLOAT, k);
      add(layer, keys, keyCols, arena.allocateFrom(JAVA_FLOAT, v), keyCols, rows);
    }
  }

  /**
   * Adds queries of a layer, for plans that {@linkplain KvOptions#balance balance}: as attend would
   * get them.
   *
   * @param layer of the model
   * @param q rows of queryHeads x headDim floats
   * @param qStride from row to row
   * @param rows number of queries
   */
  public void addQueries(int layer, MemorySegment q, long qStride, long rows) {
    String function = "KvCalibration.addQueries";
    Args.input(function, "q", q, Args.floats(function, "q", rows, geometry.queryCols(), qStride));
    MemorySegment handle = calibration.begin();
    try {
      SylvesterException.check(
          SylvesterFfi.syl_kv_calibration_add_queries_f32(handle, layer, q, qStride, rows));
    } finally {
      calibration.end();
    }
  }

  /**
   * Adds queries on the Java heap. For comfort: it copies and allocates.
   *
   * @param layer of the model
   * @param q rows of queryHeads x headDim floats, back to back
   */
  public void addQueries(int layer, float[] q) {
    long rows = Args.rows("KvCalibration.addQueries", "q", q, geometry.queryCols());
    try (Arena arena = Arena.ofConfined()) {
      addQueries(layer, arena.allocateFrom(JAVA_FLOAT, q), geometry.queryCols(), rows);
    }
  }

  /**
   * Adds what another calibration collected.
   *
   * @param other of the same geometry; not changed
   */
  public void merge(KvCalibration other) {
    String function = "KvCalibration.merge";
    if (Args.present(function, "other", other) == this) {
      throw new SylvesterException(
          Status.BAD_VALUE, function + ": other is this calibration itself");
    }
    MemorySegment handle = calibration.begin();
    try {
      MemorySegment otherHandle = other.calibration.begin();
      try {
        SylvesterException.check(SylvesterFfi.syl_kv_calibration_merge(handle, otherHandle));
      } finally {
        other.calibration.end();
      }
    } finally {
      calibration.end();
    }
  }

  /** Takes the calibration for one call. */
  MemorySegment begin() {
    return calibration.begin();
  }

  void end() {
    calibration.end();
  }

  /**
   * Frees the sums. A second call does nothing.
   *
   * @throws IllegalStateException if a call on another thread is using them
   */
  @Override
  public void close() {
    calibration.close(SylvesterFfi::syl_kv_calibration_free);
  }
}
