package dev.sylvester.kernels;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.sylvester.kernels.ffi.SylvesterFfi;
import dev.sylvester.kernels.ffi.syl_kv_plan_info;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;

/**
 * How every layer of a model's cache is quantised. Immutable and thread-safe, for any number of
 * caches, which keep what they need of it when it is closed.
 */
public final class KvPlan implements AutoCloseable {
  // Owns the native plan: a call that uses the handle keeps the arena from being closed under it.
  private final Arena arena = Arena.ofShared();
  private final KvGeometry geometry;
  private final MemorySegment handle;

  /**
   * What a plan comes to.
   *
   * @param layers of the model
   * @param bitsKeys of a packed number, scales and zeros counted, mean over the layers
   * @param bitsValues the same for values
   * @param tileBytes of 16 packed tokens, all layers
   * @param tokenHalfBytes of a token kept as halves, all layers
   * @param preRope whether keys are appended as they are before rotary positions
   * @param window recent tokens kept as halves
   * @param firstTokens the first tokens, kept as halves
   * @param maxSinks most further tokens kept as halves, per layer
   */
  public record Info(
      int layers,
      double bitsKeys,
      double bitsValues,
      long tileBytes,
      long tokenHalfBytes,
      boolean preRope,
      int window,
      int firstTokens,
      int maxSinks) {}

  /** A native function that stores a new plan. */
  private interface Maker {
    int make(MemorySegment geometry, MemorySegment out, Arena scratch);
  }

  private KvPlan(String function, KvGeometry geometry, Maker maker) {
    this.geometry = geometry;
    try (Arena scratch = Arena.ofConfined()) {
      MemorySegment out = scratch.allocate(ADDRESS);
      SylvesterException.check(maker.make(geometry.toNative(function, scratch), out, scratch));
      handle = own(out.get(ADDRESS, 0));
    } catch (RuntimeException | Error e) {
      arena.close();
      throw e;
    }
  }

  @SuppressWarnings("restricted")
  private MemorySegment own(MemorySegment plan) {
    return plan.reinterpret(arena, SylvesterFfi::syl_kv_plan_free);
  }

  /**
   * A plan that needs no calibration.
   *
   * @param geometry of the model
   * @param options how it is quantised
   * @return the plan
   */
  public static KvPlan of(KvGeometry geometry, KvOptions options) {
    return of(geometry, options, null);
  }

  /**
   * A plan.
   *
   * @param geometry of the model
   * @param options how it is quantised
   * @param calibration of the same geometry, with 256 tokens of every layer or more; null if the
   *     options need none
   * @return the plan
   */
  public static KvPlan of(KvGeometry geometry, KvOptions options, KvCalibration calibration) {
    String function = "KvPlan.of";
    Args.present(function, "geometry", geometry);
    Args.present(function, "options", options);
    MemorySegment sums = calibration == null ? MemorySegment.NULL : calibration.begin();
    try {
      return new KvPlan(
          function,
          geometry,
          (struct, out, scratch) ->
              SylvesterFfi.syl_kv_plan_new(
                  struct, options.toNative(function, geometry.layers(), scratch), sums, out));
    } finally {
      if (calibration != null) {
        calibration.end();
      }
    }
  }

  /**
   * A saved plan.
   *
   * @param file that {@link #save(Path)} wrote
   * @param geometry for which it was made
   * @return the plan
   * @throws IOException if the file cannot be read
   * @throws SylvesterException with the offset of what is wrong in it
   */
  public static KvPlan load(Path file, KvGeometry geometry) throws IOException {
    return WholeFile.map("KvPlan.load", file, bytes -> load(bytes, geometry));
  }

  /**
   * A saved plan in memory.
   *
   * @param bytes the file, native or on the heap; not needed afterwards
   * @param geometry for which it was made
   * @return the plan
   * @throws SylvesterException with the offset of what is wrong in it
   */
  public static KvPlan load(MemorySegment bytes, KvGeometry geometry) {
    String function = "KvPlan.load";
    Args.present(function, "bytes", bytes);
    Args.present(function, "geometry", geometry);
    return new KvPlan(
        function,
        geometry,
        (struct, out, scratch) -> {
          MemorySegment file = bytes.isNative() ? bytes : Args.copy(function, bytes, scratch);
          return SylvesterFfi.syl_kv_plan_load(file, file.byteSize(), struct, out);
        });
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
   * How it is quantised.
   *
   * @return the options, with bits of every layer
   */
  public KvOptions options() {
    MemorySegment plan = open();
    try (Arena scratch = Arena.ofConfined()) {
      MemorySegment struct = KvOptions.blank(scratch);
      SylvesterException.check(SylvesterFfi.syl_kv_plan_options(plan, struct));
      return KvOptions.ofPlan(struct, geometry.layers());
    }
  }

  /**
   * What the plan comes to.
   *
   * @return bits, bytes and what append must know
   */
  public Info info() {
    MemorySegment plan = open();
    try (Arena scratch = Arena.ofConfined()) {
      MemorySegment struct = scratch.allocate(syl_kv_plan_info.layout());
      syl_kv_plan_info.struct_size(struct, (int) syl_kv_plan_info.sizeof());
      SylvesterException.check(SylvesterFfi.syl_kv_plan_describe(plan, struct));
      return new Info(
          syl_kv_plan_info.layers(struct),
          syl_kv_plan_info.bits_keys(struct),
          syl_kv_plan_info.bits_values(struct),
          syl_kv_plan_info.tile_bytes(struct),
          syl_kv_plan_info.token_half_bytes(struct),
          syl_kv_plan_info.rope(struct) == SylvesterFfi.SYL_KV_PRE_ROPE(),
          syl_kv_plan_info.window(struct),
          syl_kv_plan_info.first_tokens(struct),
          syl_kv_plan_info.max_sinks(struct));
    }
  }

  /**
   * The file of the plan.
   *
   * @return its bytes
   */
  public byte[] toBytes() {
    try (Arena scratch = Arena.ofConfined()) {
      return toBytes(scratch).toArray(JAVA_BYTE);
    }
  }

  /**
   * Writes the file of the plan, as a whole or not at all.
   *
   * @param file is replaced if it exists
   * @throws IOException if it cannot be written
   */
  public void save(Path file) throws IOException {
    try (Arena scratch = Arena.ofConfined()) {
      WholeFile.write("KvPlan.save", file, toBytes(scratch));
    }
  }

  private MemorySegment toBytes(Arena scratch) {
    MemorySegment plan = open();
    MemorySegment size = scratch.allocate(JAVA_LONG);
    SylvesterException.check(SylvesterFfi.syl_kv_plan_size(plan, size));
    MemorySegment file = Args.allocate("KvPlan.save", size.get(JAVA_LONG, 0), scratch);
    SylvesterException.check(SylvesterFfi.syl_kv_plan_save(plan, file, file.byteSize()));
    return file;
  }

  /** The native handle. */
  MemorySegment open() {
    if (!arena.scope().isAlive()) {
      throw new IllegalStateException("KvPlan is closed");
    }
    return handle;
  }

  /**
   * Frees the plan. A second call does nothing.
   *
   * @throws IllegalStateException if a call on another thread is using it
   */
  @Override
  public void close() {
    if (arena.scope().isAlive()) {
      arena.close();
    }
  }
}
