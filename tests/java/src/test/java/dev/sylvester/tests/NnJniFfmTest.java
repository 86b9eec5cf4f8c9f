package dev.sylvester.tests;

import static java.lang.foreign.MemorySegment.NULL;
import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;

import dev.sylvester.jni.syl_attention;
import dev.sylvester.jni.syl_rope_scaling;
import dev.sylvester.jni.sylvester;
import dev.sylvester.kernels.ffi.SylvesterFfi;
import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.Test;

/** Element types and layers by JNI and by the foreign function interface: the same bytes. */
class NnJniFfmTest extends JniFfm {
  @Test
  void elementTypes() {
    int type = SylvesterFfi.SYL_Q4_K();
    MemorySegment blocks = bytes(3 * 144);
    for (long block = 0; block < blocks.byteSize(); block += 144) {
      blocks.set(JAVA_SHORT_UNALIGNED, block, Float.floatToFloat16(0.01f));
      blocks.set(JAVA_SHORT_UNALIGNED, block + 2, Float.floatToFloat16(0.03f));
    }
    same(
        "dequantize",
        arena.allocate(JAVA_FLOAT, 3 * 256),
        y -> SylvesterFfi.syl_dequantize_f32(type, blocks, 3 * 256, y),
        y -> sylvester.syl_dequantize_f32(type, pointer(blocks), 3 * 256, floats(y)));
    MemorySegment x = gaussian(100);
    same(
        "convert",
        arena.allocate(2 * 100),
        y -> SylvesterFfi.syl_convert_from_f32(SylvesterFfi.SYL_BF16(), x, 100, y),
        y -> sylvester.syl_convert_from_f32(sylvester.SYL_BF16, floats(x), 100, pointer(y)));
    MemorySegment words = bytes(16);
    same(
        "philox",
        arena.allocate(JAVA_INT, 4),
        y -> SylvesterFfi.syl_philox4x32(words, words, y),
        y -> sylvester.syl_philox4x32(ints(words), ints(words), ints(y)));
  }

  @Test
  void matrixProduct() {
    int type = SylvesterFfi.SYL_Q8_0();
    int n = 48;
    int k = 64;
    int m = 3;
    MemorySegment weights = bytes(n * k / 32 * 34);
    for (long block = 0; block < weights.byteSize(); block += 34) {
      weights.set(JAVA_SHORT_UNALIGNED, block, Float.floatToFloat16(0.02f));
    }
    MemorySegment size = arena.allocate(JAVA_LONG);
    same(
        "weights_size",
        size,
        y -> SylvesterFfi.syl_nn_weights_size(type, n, k, y),
        y -> sylvester.syl_nn_weights_size(type, n, k, longs(y)));
    SylvesterFfi.syl_nn_weights_size(type, n, k, size);
    MemorySegment packed = arena.allocate(size.get(JAVA_LONG, 0), 64);
    same(
        "weights_pack",
        packed,
        y ->
            SylvesterFfi.syl_nn_weights_pack(
                type, n, k, weights, weights.byteSize(), y, y.byteSize(), pool),
        y ->
            sylvester.syl_nn_weights_pack(
                type,
                n,
                k,
                pointer(weights),
                weights.byteSize(),
                pointer(y),
                y.byteSize(),
                jniPool));
    SylvesterFfi.syl_nn_weights_pack(
        type, n, k, weights, weights.byteSize(), packed, packed.byteSize(), NULL);
    SylvesterFfi.syl_nn_matmul_workspace(type, n, k, m, size);
    MemorySegment workspace = arena.allocate(size.get(JAVA_LONG, 0));
    MemorySegment x = gaussian(m * k);
    MemorySegment bias = gaussian(n);
    same(
        "matmul",
        gaussian(m * n),
        y ->
            SylvesterFfi.syl_nn_matmul_f32(
                type, packed, n, k, x, k, m, bias, 1, y, n, workspace, workspace.byteSize(), pool),
        y ->
            sylvester.syl_nn_matmul_f32(
                type,
                pointer(packed),
                n,
                k,
                floats(x),
                k,
                m,
                floats(bias),
                sylvester.SYL_MATMUL_ACCUMULATE,
                floats(y),
                n,
                pointer(workspace),
                workspace.byteSize(),
                jniPool));
  }

  @Test
  void rows() {
    MemorySegment x = gaussian(2 * 40);
    MemorySegment up = gaussian(2 * 40);
    MemorySegment ids = arena.allocateFrom(JAVA_INT, 1, 0, 1);
    same(
        "embed",
        arena.allocate(JAVA_FLOAT, 3 * 40),
        y -> SylvesterFfi.syl_nn_embed_f32(SylvesterFfi.SYL_F32(), x, 2, 40, ids, 3, y, 40),
        y ->
            sylvester.syl_nn_embed_f32(
                sylvester.SYL_F32, pointer(x), 2, 40, ints(ids), 3, floats(y), 40));
    same(
        "rms_norm",
        arena.allocate(JAVA_FLOAT, 2 * 40),
        y -> SylvesterFfi.syl_nn_rms_norm_f32(x, 40, up, 1e-5f, 2, 40, y, 40, pool),
        y ->
            sylvester.syl_nn_rms_norm_f32(
                floats(x), 40, floats(up), 1e-5f, 2, 40, floats(y), 40, jniPool));
    same(
        "swiglu",
        arena.allocate(JAVA_FLOAT, 2 * 40),
        y -> SylvesterFfi.syl_nn_swiglu_f32(x, 40, up, 40, 2, 40, y, 40, pool),
        y ->
            sylvester.syl_nn_swiglu_f32(
                floats(x), 40, floats(up), 40, 2, 40, floats(y), 40, jniPool));
  }

  @Test
  void rope() {
    int dims = 16;
    MemorySegment scaling = arena.allocate(dev.sylvester.kernels.ffi.syl_rope_scaling.layout());
    dev.sylvester.kernels.ffi.syl_rope_scaling.struct_size(scaling, (int) scaling.byteSize());
    dev.sylvester.kernels.ffi.syl_rope_scaling.kind(scaling, SylvesterFfi.SYL_ROPE_LINEAR());
    dev.sylvester.kernels.ffi.syl_rope_scaling.theta(scaling, 10000);
    dev.sylvester.kernels.ffi.syl_rope_scaling.factor(scaling, 2);
    MemorySegment frequencies = arena.allocate(JAVA_DOUBLE, dims / 2);
    MemorySegment magnitude = arena.allocate(JAVA_DOUBLE);
    try (syl_rope_scaling jniScaling = new syl_rope_scaling()) {
      jniScaling.struct_size(jniScaling.sizeof()).kind(sylvester.SYL_ROPE_LINEAR);
      jniScaling.theta(10000).factor(2);
      same(
          "rope_frequencies",
          frequencies,
          y -> SylvesterFfi.syl_nn_rope_frequencies(scaling, dims, y, magnitude),
          y -> sylvester.syl_nn_rope_frequencies(jniScaling, dims, doubles(y), doubles(magnitude)));
    }
    SylvesterFfi.syl_nn_rope_frequencies(scaling, dims, frequencies, magnitude);
    MemorySegment positions = arena.allocateFrom(JAVA_INT, 3, 77);
    MemorySegment table = arena.allocate(JAVA_FLOAT, 2 * dims);
    same(
        "rope_table",
        table,
        y -> SylvesterFfi.syl_nn_rope_table_f32(frequencies, 1, dims, positions, 2, y),
        y ->
            sylvester.syl_nn_rope_table_f32(
                doubles(frequencies), 1, dims, ints(positions), 2, floats(y)));
    SylvesterFfi.syl_nn_rope_table_f32(frequencies, 1, dims, positions, 2, table);
    same(
        "rope",
        gaussian(2 * 3 * 24),
        x -> SylvesterFfi.syl_nn_rope_f32(x, 72, 2, 3, 24, dims, 1, table, pool),
        x -> sylvester.syl_nn_rope_f32(floats(x), 72, 2, 3, 24, dims, 1, floats(table), jniPool));
  }

  @Test
  void attention() {
    MemorySegment shape = arena.allocate(dev.sylvester.kernels.ffi.syl_attention.layout());
    dev.sylvester.kernels.ffi.syl_attention.struct_size(shape, (int) shape.byteSize());
    dev.sylvester.kernels.ffi.syl_attention.cache_type(shape, SylvesterFfi.SYL_F16());
    dev.sylvester.kernels.ffi.syl_attention.q_heads(shape, 4);
    dev.sylvester.kernels.ffi.syl_attention.kv_heads(shape, 2);
    dev.sylvester.kernels.ffi.syl_attention.head_dim(shape, 16);
    dev.sylvester.kernels.ffi.syl_attention.capacity(shape, 32);
    dev.sylvester.kernels.ffi.syl_attention.causal(shape, 1);
    dev.sylvester.kernels.ffi.syl_attention.scale(shape, 0.25f);
    syl_attention jniShape = new syl_attention();
    jniShape.struct_size(jniShape.sizeof()).cache_type(sylvester.SYL_F16).q_heads(4).kv_heads(2);
    jniShape.head_dim(16)._capacity(32).causal(1).scale(0.25f);

    MemorySegment k = gaussian(20 * 32);
    MemorySegment v = gaussian(20 * 32);
    long bytes = 2 * 32 * 16 * 2;
    MemorySegment cache = arena.allocate(2 * bytes);
    same(
        "cache_append",
        cache,
        y ->
            SylvesterFfi.syl_nn_cache_append_f32(
                shape, k, 32, v, 32, 0, 20, y, y.asSlice(bytes), pool),
        y ->
            sylvester.syl_nn_cache_append_f32(
                jniShape,
                floats(k),
                32,
                floats(v),
                32,
                0,
                20,
                pointer(y),
                pointer(y.asSlice(bytes)),
                jniPool));
    MemorySegment values = cache.asSlice(bytes);
    SylvesterFfi.syl_nn_cache_append_f32(shape, k, 32, v, 32, 0, 20, cache, values, NULL);
    MemorySegment size = arena.allocate(JAVA_LONG);
    same(
        "attention_workspace",
        arena.allocateFrom(JAVA_LONG, -1),
        y -> SylvesterFfi.syl_nn_attention_workspace(shape, 3, 20, y),
        y -> sylvester.syl_nn_attention_workspace(jniShape, 3, 20, longs(y)));
    SylvesterFfi.syl_nn_attention_workspace(shape, 3, 20, size);
    MemorySegment workspace = arena.allocate(Math.max(1, size.get(JAVA_LONG, 0)));
    MemorySegment q = gaussian(3 * 64);
    same(
        "attention",
        arena.allocate(JAVA_FLOAT, 3 * 64),
        y ->
            SylvesterFfi.syl_nn_attention_f32(
                shape,
                q,
                64,
                17,
                3,
                cache,
                values,
                20,
                y,
                64,
                workspace,
                workspace.byteSize(),
                pool),
        y ->
            sylvester.syl_nn_attention_f32(
                jniShape,
                floats(q),
                64,
                17,
                3,
                pointer(cache),
                pointer(values),
                20,
                floats(y),
                64,
                pointer(workspace),
                workspace.byteSize(),
                jniPool));
    jniShape.close();
  }
}
