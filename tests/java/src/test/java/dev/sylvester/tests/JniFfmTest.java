package dev.sylvester.tests;

import static java.lang.foreign.MemorySegment.NULL;
import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;
import static org.assertj.core.api.Assertions.assertThat;

import dev.sylvester.jni.syl_attention;
import dev.sylvester.jni.syl_hadamard;
import dev.sylvester.jni.syl_hadamard_options;
import dev.sylvester.jni.syl_logits_options;
import dev.sylvester.jni.syl_logits_stats;
import dev.sylvester.jni.syl_pool;
import dev.sylvester.jni.syl_rope_scaling;
import dev.sylvester.jni.syl_sampler;
import dev.sylvester.jni.syl_spec_batch;
import dev.sylvester.jni.syl_spec_result;
import dev.sylvester.jni.sylvester;
import dev.sylvester.kernels.ffi.SylvesterFfi;
import java.lang.foreign.AddressLayout;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import java.util.function.ToIntFunction;
import org.bytedeco.javacpp.DoublePointer;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.IntPointer;
import org.bytedeco.javacpp.LongPointer;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.ShortPointer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/**
 * JNI and the foreign function interface reach the same functions: the same bytes in every family.
 */
class JniFfmTest {
  private static final long SEED = 4;
  private static final AddressLayout C_POINTER = ValueLayout.ADDRESS;

  private final Arena arena = Arena.ofConfined();
  private final Random random = new Random(SEED);
  private final syl_pool jniPool = new syl_pool();
  private final MemorySegment pool;

  JniFfmTest() {
    MemorySegment handle = arena.allocate(C_POINTER);
    assertThat(SylvesterFfi.syl_pool_new(2, handle)).isZero();
    assertThat(sylvester.syl_pool_new(2, jniPool)).isZero();
    pool = handle.get(C_POINTER, 0);
  }

  @AfterEach
  void free() {
    SylvesterFfi.syl_pool_free(pool);
    sylvester.syl_pool_free(jniPool);
    arena.close();
  }

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

  @Test
  void logits() {
    MemorySegment logits = gaussian(500);
    same(
        "logits_stats",
        arena.allocate(dev.sylvester.kernels.ffi.syl_logits_stats.sizeof()),
        y -> SylvesterFfi.syl_logits_stats_f32(logits, 500, 1, 500, y, pool),
        y ->
            sylvester.syl_logits_stats_f32(
                floats(logits), 500, 1, 500, new syl_logits_stats(pointer(y)), jniPool));

    MemorySegment how = arena.allocate(dev.sylvester.kernels.ffi.syl_logits_options.layout());
    dev.sylvester.kernels.ffi.syl_logits_options.struct_size(how, (int) how.byteSize());
    dev.sylvester.kernels.ffi.syl_logits_options.temperature(how, 0.9f);
    dev.sylvester.kernels.ffi.syl_logits_options.draw_temperature(how, 1.5f);
    MemorySegment ids = arena.allocateFrom(JAVA_INT, 7, 9);
    dev.sylvester.kernels.ffi.syl_logits_options.banned(how, ids);
    dev.sylvester.kernels.ffi.syl_logits_options.banned_count(how, 2);
    MemorySegment list = arena.allocateFrom(JAVA_INT, 4, 2, 2);
    MemorySegment streams = arena.allocateFrom(JAVA_LONG, -1, 5, 6);
    try (syl_logits_options jniHow = new syl_logits_options()) {
      jniHow.struct_size(jniHow.sizeof()).temperature(0.9f).draw_temperature(1.5f);
      jniHow.banned(ints(ids)).banned_count(2);
      same(
          "logits_stats_of",
          arena.allocate(dev.sylvester.kernels.ffi.syl_logits_stats.layout(), 3),
          y ->
              SylvesterFfi.syl_logits_stats_of(
                  how, logits, NULL, 100, 5, 100, list, streams, 3, y, pool),
          y ->
              sylvester.syl_logits_stats_of(
                  jniHow,
                  pointer(logits),
                  null,
                  100,
                  5,
                  100,
                  ints(list),
                  longs(streams),
                  3,
                  new syl_logits_stats(pointer(y)),
                  jniPool));
    }

    MemorySegment options = arena.allocate(dev.sylvester.kernels.ffi.syl_sampler.layout());
    dev.sylvester.kernels.ffi.syl_sampler.struct_size(options, (int) options.byteSize());
    dev.sylvester.kernels.ffi.syl_sampler.temperature(options, 0.8f);
    dev.sylvester.kernels.ffi.syl_sampler.top_k(options, 40);
    dev.sylvester.kernels.ffi.syl_sampler.top_p(options, 0.9f);
    dev.sylvester.kernels.ffi.syl_sampler.repetition_penalty(options, 1.1f);
    dev.sylvester.kernels.ffi.syl_sampler.seed(options, -3);
    MemorySegment history = arena.allocateFrom(JAVA_INT, 1, 2, 2);
    MemorySegment workspace = arena.allocate(1 << 16, 8);
    try (syl_sampler jniOptions = new syl_sampler()) {
      jniOptions.struct_size(jniOptions.sizeof()).temperature(0.8f).top_k(40).top_p(0.9f);
      jniOptions.repetition_penalty(1.1f).seed(-3);
      for (int position = 0; position < 20; position++) {
        int at = position;
        same(
            "logits_sample",
            arena.allocate(JAVA_INT, 2),
            y ->
                SylvesterFfi.syl_logits_sample_f32(
                    options,
                    logits,
                    500,
                    history,
                    3,
                    NULL,
                    NULL,
                    0,
                    at,
                    workspace,
                    workspace.byteSize(),
                    y,
                    y.asSlice(4)),
            y ->
                sylvester.syl_logits_sample_f32(
                    jniOptions,
                    floats(logits),
                    500,
                    ints(history),
                    3,
                    null,
                    null,
                    0,
                    at,
                    pointer(workspace),
                    workspace.byteSize(),
                    ints(y),
                    floats(y.asSlice(4))));
      }
    }
  }

  @Test
  void speculation() {
    MemorySegment logits = gaussian(3 * 64);
    MemorySegment begins = arena.allocateFrom(JAVA_LONG, 0, 3);
    MemorySegment tokens = arena.allocateFrom(JAVA_INT, 0, 5, 9);
    MemorySegment positions = arena.allocateFrom(JAVA_LONG, 20);
    MemorySegment sampler = arena.allocate(dev.sylvester.kernels.ffi.syl_sampler.layout());
    dev.sylvester.kernels.ffi.syl_sampler.struct_size(sampler, (int) sampler.byteSize());
    dev.sylvester.kernels.ffi.syl_sampler.temperature(sampler, 1);
    dev.sylvester.kernels.ffi.syl_sampler.top_p(sampler, 1);
    dev.sylvester.kernels.ffi.syl_sampler.repetition_penalty(sampler, 1);
    MemorySegment batch = arena.allocate(dev.sylvester.kernels.ffi.syl_spec_batch.layout());
    dev.sylvester.kernels.ffi.syl_spec_batch.struct_size(batch, (int) batch.byteSize());
    dev.sylvester.kernels.ffi.syl_spec_batch.mode(batch, SylvesterFfi.SYL_SPEC_TOKEN());
    dev.sylvester.kernels.ffi.syl_spec_batch.sequences(batch, 1);
    dev.sylvester.kernels.ffi.syl_spec_batch.row_begin(batch, begins);
    dev.sylvester.kernels.ffi.syl_spec_batch.cols(batch, 64);
    dev.sylvester.kernels.ffi.syl_spec_batch.logits(batch, logits);
    dev.sylvester.kernels.ffi.syl_spec_batch.stride(batch, 64);
    dev.sylvester.kernels.ffi.syl_spec_batch.tokens(batch, tokens);
    dev.sylvester.kernels.ffi.syl_spec_batch.samplers(batch, sampler);
    dev.sylvester.kernels.ffi.syl_spec_batch.positions(batch, positions);
    MemorySegment result = arena.allocate(dev.sylvester.kernels.ffi.syl_spec_result.layout());
    dev.sylvester.kernels.ffi.syl_spec_result.struct_size(result, (int) result.byteSize());
    MemorySegment workspace = arena.allocate(1 << 16, 8);
    try (syl_sampler jniSampler = new syl_sampler();
        syl_spec_batch jniBatch = new syl_spec_batch();
        syl_spec_result jniResult = new syl_spec_result()) {
      jniSampler.struct_size(jniSampler.sizeof()).temperature(1).top_p(1).repetition_penalty(1);
      jniBatch.struct_size(jniBatch.sizeof()).mode(sylvester.SYL_SPEC_TOKEN).sequences(1);
      jniBatch.row_begin(longs(begins)).cols(64).logits(floats(logits)).stride(64);
      jniBatch.tokens(ints(tokens)).samplers(jniSampler).positions(longs(positions));
      jniResult.struct_size(jniResult.sizeof());
      // accepted, next_token, path
      same(
          "spec_verify",
          arena.allocate(JAVA_INT, 5),
          y -> {
            dev.sylvester.kernels.ffi.syl_spec_result.accepted(result, y);
            dev.sylvester.kernels.ffi.syl_spec_result.next_token(result, y.asSlice(4));
            dev.sylvester.kernels.ffi.syl_spec_result.path(result, y.asSlice(8));
            return SylvesterFfi.syl_spec_verify_f32(
                batch, result, workspace, workspace.byteSize(), pool);
          },
          y -> {
            jniResult.accepted(ints(y)).next_token(ints(y.asSlice(4))).path(ints(y.asSlice(8)));
            return sylvester.syl_spec_verify_f32(
                jniBatch, jniResult, pointer(workspace), workspace.byteSize(), jniPool);
          });
    }
  }

  @Test
  void hadamardOfRows() {
    same(
        "hadamard_f32",
        gaussian(5 * 130),
        x -> SylvesterFfi.syl_hadamard_f32(x, 5, 130, 128, 0, pool),
        x -> sylvester.syl_hadamard_f32(floats(x), 5, 130, 128, 0, jniPool));
    same(
        "hadamard_f64",
        doubles(64),
        x -> SylvesterFfi.syl_hadamard_f64(x, 1, 64, 64, 0.3, pool),
        x -> sylvester.syl_hadamard_f64(doubles(x), 1, 64, 64, 0.3, jniPool));
    same(
        "hadamard_f16",
        halves(SylvesterFfi.SYL_F16(), 3 * 256),
        x -> SylvesterFfi.syl_hadamard_f16(x, 3, 256, 256, 0, pool),
        x -> sylvester.syl_hadamard_f16(shorts(x), 3, 256, 256, 0, jniPool));
    same(
        "hadamard_bf16",
        halves(SylvesterFfi.SYL_BF16(), 3 * 256),
        x -> SylvesterFfi.syl_hadamard_bf16(x, 3, 256, 256, 0, pool),
        x -> sylvester.syl_hadamard_bf16(shorts(x), 3, 256, 256, 0, jniPool));
    same(
        "hadamard_matrix",
        arena.allocate(JAVA_FLOAT, 24 * 24),
        h -> SylvesterFfi.syl_hadamard_matrix(0, 24, 12, 1, 0, h),
        h -> sylvester.syl_hadamard_matrix(0, 24, 12, 1, 0, floats(h)));
  }

  @Test
  void hadamardPlan() {
    int n = 96;
    MemorySegment signs = bytes(2 * 12);
    MemorySegment options = arena.allocate(dev.sylvester.kernels.ffi.syl_hadamard_options.layout());
    dev.sylvester.kernels.ffi.syl_hadamard_options.struct_size(options, (int) options.byteSize());
    dev.sylvester.kernels.ffi.syl_hadamard_options.n(options, n);
    dev.sylvester.kernels.ffi.syl_hadamard_options.base(options, 12);
    dev.sylvester.kernels.ffi.syl_hadamard_options.rounds(options, 1);
    dev.sylvester.kernels.ffi.syl_hadamard_options.sign_rows(options, 1);
    dev.sylvester.kernels.ffi.syl_hadamard_options.signs(options, signs);
    try (syl_hadamard_options jniOptions = new syl_hadamard_options()) {
      jniOptions.struct_size(jniOptions.sizeof()).n(n).base(12).rounds(1).sign_rows(1);
      jniOptions.signs(ints(signs));
      for (int i = 0; i < 3; i++) {
        dev.sylvester.kernels.ffi.syl_hadamard_options.count(options, i, i == 2 ? 4 : 1);
        jniOptions.count(i, i == 2 ? 4 : 1);
      }
      for (int i = 2; i < 4; i++) {
        dev.sylvester.kernels.ffi.syl_hadamard_options.x_stride(options, i, i == 2 ? n : 1);
        dev.sylvester.kernels.ffi.syl_hadamard_options.y_stride(options, i, i == 2 ? n : 1);
        jniOptions.x_stride(i, i == 2 ? n : 1).y_stride(i, i == 2 ? n : 1);
      }
      MemorySegment handle = arena.allocate(C_POINTER);
      assertThat(SylvesterFfi.syl_hadamard_new(options, handle)).isZero();
      MemorySegment plan = handle.get(C_POINTER, 0);
      syl_hadamard jniPlan = new syl_hadamard();
      assertThat(sylvester.syl_hadamard_new(jniOptions, jniPlan)).isZero();
      long size = SylvesterFfi.syl_hadamard_workspace(plan, 2);
      assertThat(sylvester.syl_hadamard_workspace(jniPlan, 2)).isEqualTo(size);
      MemorySegment workspace = arena.allocate(Math.max(1, size), 64);

      MemorySegment x = gaussian(4 * n);
      same(
          "hadamard_run",
          arena.allocate(JAVA_FLOAT, 4 * n),
          y ->
              SylvesterFfi.syl_hadamard_run(
                  plan, x, y, NULL, NULL, 1, 3, pool, workspace, workspace.byteSize()),
          y ->
              sylvester.syl_hadamard_run(
                  jniPlan,
                  pointer(x),
                  pointer(y),
                  (FloatPointer) null,
                  null,
                  1,
                  3,
                  jniPool,
                  pointer(workspace),
                  workspace.byteSize()));
      same(
          "hadamard_run_transposed",
          arena.allocate(JAVA_FLOAT, 4 * n),
          y ->
              SylvesterFfi.syl_hadamard_run_transposed(
                  plan, x, y, 0, 4, pool, workspace, workspace.byteSize()),
          y ->
              sylvester.syl_hadamard_run_transposed(
                  jniPlan,
                  pointer(x),
                  pointer(y),
                  0,
                  4,
                  jniPool,
                  pointer(workspace),
                  workspace.byteSize()));
      SylvesterFfi.syl_hadamard_free(plan);
      sylvester.syl_hadamard_free(jniPlan);
    }
  }

  /** Runs both on a copy of the output each; both succeed, change it, and agree on every byte. */
  private void same(
      String function,
      MemorySegment output,
      ToIntFunction<MemorySegment> ffm,
      ToIntFunction<MemorySegment> jni) {
    MemorySegment byFfm = arena.allocate(output.byteSize(), 64).copyFrom(output);
    MemorySegment byJni = arena.allocate(output.byteSize(), 64).copyFrom(output);
    assertThat(ffm.applyAsInt(byFfm)).as(function).isEqualTo(SylvesterFfi.SYL_OK());
    assertThat(jni.applyAsInt(byJni))
        .as("%s: %s", function, sylvester.syl_last_error().getString())
        .isEqualTo(sylvester.SYL_OK);
    assertThat(byFfm.mismatch(output)).as("%s writes", function).isNotEqualTo(-1);
    assertThat(byFfm.mismatch(byJni)).as("%s, seed %d", function, SEED).isEqualTo(-1);
  }

  private MemorySegment bytes(int count) {
    byte[] values = new byte[count];
    random.nextBytes(values);
    return arena.allocate(count, 64).copyFrom(MemorySegment.ofArray(values));
  }

  private MemorySegment gaussian(int count) {
    MemorySegment values = arena.allocate(JAVA_FLOAT, count);
    for (int i = 0; i < count; i++) {
      values.setAtIndex(JAVA_FLOAT, i, (float) random.nextGaussian());
    }
    return values;
  }

  private MemorySegment doubles(int count) {
    MemorySegment values = arena.allocate(JAVA_DOUBLE, count);
    for (int i = 0; i < count; i++) {
      values.setAtIndex(JAVA_DOUBLE, i, random.nextGaussian());
    }
    return values;
  }

  private MemorySegment halves(int type, int count) {
    MemorySegment values = arena.allocate(2L * count);
    SylvesterFfi.syl_convert_from_f32(type, gaussian(count), count, values);
    return values;
  }

  // The same memory as JavaCPP sees it.

  private static Pointer pointer(MemorySegment segment) {
    return new Pointer(segment.asByteBuffer());
  }

  private static FloatPointer floats(MemorySegment segment) {
    return new FloatPointer(pointer(segment));
  }

  private static DoublePointer doubles(MemorySegment segment) {
    return new DoublePointer(pointer(segment));
  }

  private static IntPointer ints(MemorySegment segment) {
    return new IntPointer(pointer(segment));
  }

  private static ShortPointer shorts(MemorySegment segment) {
    return new ShortPointer(pointer(segment));
  }

  private static LongPointer longs(MemorySegment segment) {
    return new LongPointer(pointer(segment));
  }
}
