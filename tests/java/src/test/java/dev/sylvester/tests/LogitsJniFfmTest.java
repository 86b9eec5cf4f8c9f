package dev.sylvester.tests;

import static java.lang.foreign.MemorySegment.NULL;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.assertj.core.api.Assertions.assertThat;

import dev.sylvester.jni.syl_dlm_rule;
import dev.sylvester.jni.syl_logits_options;
import dev.sylvester.jni.syl_logits_stats;
import dev.sylvester.jni.syl_sampler;
import dev.sylvester.jni.syl_spec_batch;
import dev.sylvester.jni.syl_spec_result;
import dev.sylvester.jni.sylvester;
import dev.sylvester.kernels.ffi.SylvesterFfi;
import java.lang.foreign.MemorySegment;
import org.bytedeco.javacpp.BytePointer;
import org.junit.jupiter.api.Test;

/** Logits and speculation by JNI and by the foreign function interface: the same bytes. */
class LogitsJniFfmTest extends JniFfm {
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
    dev.sylvester.kernels.ffi.syl_logits_options.top_k(how, 40);
    dev.sylvester.kernels.ffi.syl_logits_options.top_p(how, 0.9f);
    MemorySegment ids = arena.allocateFrom(JAVA_INT, 7, 9);
    dev.sylvester.kernels.ffi.syl_logits_options.banned(how, ids);
    dev.sylvester.kernels.ffi.syl_logits_options.banned_count(how, 2);
    MemorySegment list = arena.allocateFrom(JAVA_INT, 4, 2, 2);
    MemorySegment streams = arena.allocateFrom(JAVA_LONG, -1, 5, 6);
    try (syl_logits_options jniHow = new syl_logits_options()) {
      jniHow.struct_size(jniHow.sizeof()).temperature(0.9f).draw_temperature(1.5f);
      jniHow.banned(ints(ids)).banned_count(2).top_k(40).top_p(0.9f);
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
  void statisticsOfAProduct() {
    int type = SylvesterFfi.SYL_F32();
    MemorySegment weights = gaussian(100 * 8);
    MemorySegment packed = arena.allocate(7 * 16 * 8 * Float.BYTES, 64);
    assertThat(
            SylvesterFfi.syl_nn_weights_pack(
                type, 100, 8, weights, weights.byteSize(), packed, packed.byteSize(), NULL))
        .isZero();
    MemorySegment x = gaussian(3 * 8);
    MemorySegment other = gaussian(3 * 8);
    MemorySegment how = arena.allocate(dev.sylvester.kernels.ffi.syl_logits_options.layout());
    dev.sylvester.kernels.ffi.syl_logits_options.struct_size(how, (int) how.byteSize());
    dev.sylvester.kernels.ffi.syl_logits_options.temperature(how, 0.9f);
    dev.sylvester.kernels.ffi.syl_logits_options.top_p(how, 1);
    dev.sylvester.kernels.ffi.syl_logits_options.guidance(how, 2);
    MemorySegment streams = arena.allocateFrom(JAVA_LONG, -1, 5, 6);
    try (syl_logits_options jniHow = new syl_logits_options()) {
      jniHow.struct_size(jniHow.sizeof()).temperature(0.9f).top_p(1).guidance(2);
      same(
          "logits_stats_product_workspace",
          arena.allocate(JAVA_LONG),
          y -> SylvesterFfi.syl_logits_stats_product_workspace(how, type, 100, 8, 3, 1, 2, y),
          y ->
              sylvester.syl_logits_stats_product_workspace(
                  jniHow, type, 100, 8, 3, 1, 2, longs(y)));
      MemorySegment workspace = arena.allocate(1 << 21);
      same(
          "logits_stats_product",
          arena.allocate(dev.sylvester.kernels.ffi.syl_logits_stats.layout(), 3),
          y ->
              SylvesterFfi.syl_logits_stats_product_f32(
                  how,
                  type,
                  packed,
                  100,
                  8,
                  x,
                  other,
                  8,
                  3,
                  streams,
                  y,
                  workspace,
                  workspace.byteSize(),
                  pool),
          y ->
              sylvester.syl_logits_stats_product_f32(
                  jniHow,
                  type,
                  pointer(packed),
                  100,
                  8,
                  floats(x),
                  floats(other),
                  8,
                  3,
                  longs(streams),
                  new syl_logits_stats(pointer(y)),
                  pointer(workspace),
                  workspace.byteSize(),
                  jniPool));
    }
  }

  @Test
  void diffusionRules() {
    MemorySegment logits = gaussian(500);
    MemorySegment stats = arena.allocate(dev.sylvester.kernels.ffi.syl_logits_stats.layout(), 5);
    assertThat(SylvesterFfi.syl_logits_stats_f32(logits, 100, 5, 100, stats, pool)).isZero();
    MemorySegment rule = arena.allocate(dev.sylvester.kernels.ffi.syl_dlm_rule.layout());
    dev.sylvester.kernels.ffi.syl_dlm_rule.struct_size(rule, (int) rule.byteSize());
    dev.sylvester.kernels.ffi.syl_dlm_rule.kind(rule, SylvesterFfi.SYL_DLM_FIXED_K());
    dev.sylvester.kernels.ffi.syl_dlm_rule.score(rule, SylvesterFfi.SYL_DLM_MARGIN());
    dev.sylvester.kernels.ffi.syl_dlm_rule.k(rule, 3);
    try (syl_dlm_rule jniRule = new syl_dlm_rule()) {
      jniRule.struct_size(jniRule.sizeof()).kind(sylvester.SYL_DLM_FIXED_K);
      jniRule.score(sylvester.SYL_DLM_MARGIN).k(3);
      // The number of those selected, and room for all five.
      same(
          "dlm_select",
          arena.allocate(8 + 5 * 4, 8),
          y -> SylvesterFfi.syl_dlm_select(rule, stats, NULL, 5, y.asSlice(8), y),
          y ->
              sylvester.syl_dlm_select(
                  jniRule,
                  new syl_logits_stats(pointer(stats)),
                  (BytePointer) null,
                  5,
                  ints(y.asSlice(8)),
                  longs(y)));
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
}
