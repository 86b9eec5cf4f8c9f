package dev.sylvester.kernels;

import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.sylvester.kernels.ffi.syl_kv_geometry;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;

/**
 * What a model's attention is: heads, masking and, for plans that keep keys as they are before
 * them, rotary positions.
 *
 * @param layers 1..1024
 * @param queryHeads a multiple of keyHeads, at most 1024
 * @param keyHeads heads of keys and values, 1..256
 * @param headDim a multiple of 16, 16..256
 * @param scale on the product of query and key, usually {@code 1/sqrt(headDim)}
 * @param softCap 0: none; c: score = c tanh(score / c)
 * @param windows empty: none; otherwise one for each layer, 0: none, w: token p sees keys p-w+1..p
 * @param inverseFrequencies radians per position of each rotated pair, at most headDim / 2; empty:
 *     no rotary positions
 * @param ropeMagnitude factor on cos and sin, usually 1
 * @param interleaved false: pairs (i, i + dims/2), as transformers; true: pairs (2i, 2i + 1), as
 *     GGUF llama files
 */
public record KvGeometry(
    int layers,
    long queryHeads,
    long keyHeads,
    long headDim,
    float scale,
    float softCap,
    List<Long> windows,
    List<Double> inverseFrequencies,
    double ropeMagnitude,
    boolean interleaved) {

  /** Keeps copies of the lists. */
  public KvGeometry {
    windows = List.copyOf(Args.present("KvGeometry", "windows", windows));
    inverseFrequencies =
        List.copyOf(Args.present("KvGeometry", "inverseFrequencies", inverseFrequencies));
  }

  /**
   * The usual decoder: scale {@code 1/sqrt(headDim)}, no cap, no windows, no rotary positions.
   *
   * @param layers 1..1024
   * @param queryHeads a multiple of keyHeads, at most 1024
   * @param keyHeads heads of keys and values, 1..256
   * @param headDim a multiple of 16, 16..256
   * @return the geometry
   */
  public static KvGeometry of(int layers, long queryHeads, long keyHeads, long headDim) {
    float scale = (float) (1 / Math.sqrt(headDim));
    return new KvGeometry(
        layers, queryHeads, keyHeads, headDim, scale, 0, List.of(), List.of(), 1, false);
  }

  /**
   * With rotary positions from a model's parameters.
   *
   * @param scaling base and scaling
   * @param dims rotated dimensions of a head, even, 2..headDim
   * @param interleavedPairs false: pairs (i, i + dims/2); true: pairs (2i, 2i + 1)
   * @return the changed copy
   */
  public KvGeometry withRope(RopeScaling scaling, long dims, boolean interleavedPairs) {
    try (Arena arena = Arena.ofConfined()) {
      return withRope(Rope.of(scaling, dims, arena), interleavedPairs);
    }
  }

  /**
   * With rotary positions.
   *
   * @param rope frequencies and magnitude
   * @param interleavedPairs false: pairs (i, i + dims/2); true: pairs (2i, 2i + 1)
   * @return the changed copy
   */
  public KvGeometry withRope(Rope rope, boolean interleavedPairs) {
    List<Double> frequencies = Arrays.stream(rope.inverseFrequencies()).boxed().toList();
    return new KvGeometry(
        layers,
        queryHeads,
        keyHeads,
        headDim,
        scale,
        softCap,
        windows,
        frequencies,
        rope.magnitude(),
        interleavedPairs);
  }

  /**
   * With another scale.
   *
   * @param value on the product of query and key
   * @return the changed copy
   */
  public KvGeometry withScale(float value) {
    return with(value, softCap, windows);
  }

  /**
   * With another cap.
   *
   * @param value 0: none
   * @return the changed copy
   */
  public KvGeometry withSoftCap(float value) {
    return with(scale, value, windows);
  }

  /**
   * With other sliding windows.
   *
   * @param values empty: none; otherwise one for each layer, 0: none
   * @return the changed copy
   */
  public KvGeometry withWindows(List<Long> values) {
    return with(scale, softCap, values);
  }

  private KvGeometry with(float newScale, float newSoftCap, List<Long> newWindows) {
    return new KvGeometry(
        layers,
        queryHeads,
        keyHeads,
        headDim,
        newScale,
        newSoftCap,
        newWindows,
        inverseFrequencies,
        ropeMagnitude,
        interleaved);
  }

  /** Floats of a row of queries. */
  long queryCols() {
    return Args.product("KvGeometry", "q", queryHeads, headDim);
  }

  /** Floats of a row of keys or values. */
  long keyCols() {
    return Args.product("KvGeometry", "k", keyHeads, headDim);
  }

  /**
   * The C structure {@code syl_kv_geometry}, for those who call the C functions themselves. It
   * points to arrays in the same arena.
   *
   * @param arena owns the structure
   * @return the structure
   */
  public MemorySegment toNative(Arena arena) {
    return toNative("KvGeometry.toNative", arena);
  }

  MemorySegment toNative(String function, Arena arena) {
    if (!windows.isEmpty() && windows.size() != layers) {
      throw new SylvesterException(
          Status.BAD_SHAPE,
          function + ": windows has " + windows.size() + " values for " + layers + " layers");
    }
    MemorySegment struct = arena.allocate(syl_kv_geometry.layout());
    syl_kv_geometry.struct_size(struct, (int) syl_kv_geometry.sizeof());
    syl_kv_geometry.layers(struct, layers);
    syl_kv_geometry.q_heads(struct, queryHeads);
    syl_kv_geometry.kv_heads(struct, keyHeads);
    syl_kv_geometry.head_dim(struct, headDim);
    syl_kv_geometry.scale(struct, scale);
    syl_kv_geometry.soft_cap(struct, softCap);
    syl_kv_geometry.rope_dims(struct, 2L * inverseFrequencies.size());
    syl_kv_geometry.interleaved(struct, interleaved ? 1 : 0);
    syl_kv_geometry.rope_magnitude(struct, ropeMagnitude);
    if (!windows.isEmpty()) {
      long[] values = windows.stream().mapToLong(Long::longValue).toArray();
      syl_kv_geometry.windows(struct, arena.allocateFrom(JAVA_LONG, values));
    }
    if (!inverseFrequencies.isEmpty()) {
      double[] values = inverseFrequencies.stream().mapToDouble(Double::doubleValue).toArray();
      syl_kv_geometry.inv_freq(struct, arena.allocateFrom(JAVA_DOUBLE, values));
    }
    return struct;
  }
}
