package dev.sylvester.tests;

import static dev.sylvester.jni.sylvester.*;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.assertj.core.api.Assertions.assertThat;

import dev.sylvester.jni.syl_kv_batch;
import dev.sylvester.jni.syl_kv_cache;
import dev.sylvester.jni.syl_kv_cache_options;
import dev.sylvester.jni.syl_kv_geometry;
import dev.sylvester.jni.syl_kv_memory;
import dev.sylvester.jni.syl_kv_options;
import dev.sylvester.jni.syl_kv_plan;
import dev.sylvester.jni.syl_kv_sequence;
import dev.sylvester.kernels.KvCache;
import dev.sylvester.kernels.KvCacheOptions;
import dev.sylvester.kernels.KvGeometry;
import dev.sylvester.kernels.KvOptions;
import dev.sylvester.kernels.KvPlan;
import dev.sylvester.kernels.KvSequence;
import java.lang.foreign.Arena;
import java.util.Random;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.LongPointer;
import org.bytedeco.javacpp.PointerPointer;
import org.junit.jupiter.api.Test;

/** A packed cache by JNI has, byte for byte, what that of the foreign function interface has. */
class KvJniFfmTest {
  private static final long SEED = 5;
  private static final int TOKENS = 75;
  private static final int UNPACKED = 40;
  private static final int HEAD_DIM = 64;
  private static final int KEY_COLS = 2 * HEAD_DIM;
  private static final int QUERY_COLS = 4 * HEAD_DIM;

  private final Random random = new Random(SEED);
  private final float[] k = gaussian(TOKENS * KEY_COLS);
  private final float[] v = gaussian(TOKENS * KEY_COLS);
  private final float[] q = gaussian(QUERY_COLS);

  private byte[] planByFfm;
  private byte[] sequenceByFfm;
  private float[] attentionByFfm;
  private float[] bidirectionalByFfm;

  @Test
  void sameBytes() {
    byForeignFunctions();
    syl_kv_plan plan = plan();
    syl_kv_cache cache = new syl_kv_cache();
    try (syl_kv_cache_options options = new syl_kv_cache_options()) {
      options.struct_size(options.sizeof()).page_tokens(16).pages(10).max_rows(100);
      assertOk(syl_kv_cache_new(plan, options, cache));
    }
    syl_kv_sequence sequence = new syl_kv_sequence();
    assertOk(syl_kv_sequence_new(cache, sequence));
    long[] size = new long[1];
    try (syl_kv_batch batch = new syl_kv_batch();
        PointerPointer<syl_kv_sequence> sequences = new PointerPointer<>(1);
        LongPointer rows = new LongPointer(1)) {
      batch.struct_size(batch.sizeof()).sequences(1).sequence(sequences).rows(rows);
      sequences.put(0, sequence);
      rows.put(0, TOKENS);
      assertOk(syl_kv_append_workspace(batch, 1, size));
      try (BytePointer workspace = new BytePointer(size[0])) {
        assertOk(
            syl_kv_append_f32(
                batch, 0, k, KEY_COLS, v, KEY_COLS, (byte[]) null, workspace, size[0], null));
      }
      rows.put(0, 1);
      assertOk(syl_kv_attend_workspace(batch, 0, 1, size));
      float[] y = new float[QUERY_COLS];
      try (BytePointer workspace = new BytePointer(size[0])) {
        assertOk(
            syl_kv_attend_f32(batch, 0, q, QUERY_COLS, y, QUERY_COLS, workspace, size[0], null));
      }
      assertThat(y).isEqualTo(attentionByFfm);
      long[] unpacked = {UNPACKED};
      assertOk(syl_kv_attend_bidirectional_workspace(batch, 0, unpacked, 1, size));
      try (BytePointer workspace = new BytePointer(size[0])) {
        assertOk(
            syl_kv_attend_bidirectional_f32(
                batch, 0, unpacked, q, QUERY_COLS, y, QUERY_COLS, workspace, size[0], null));
      }
      assertThat(y).isEqualTo(bidirectionalByFfm);
    }
    assertOk(syl_kv_save_size(sequence, size));
    try (BytePointer file = new BytePointer(size[0]);
        syl_kv_memory memory = new syl_kv_memory()) {
      assertOk(syl_kv_save(sequence, file, size[0]));
      assertThat(bytes(file)).as("seed %d", SEED).isEqualTo(sequenceByFfm);
      memory.struct_size(memory.sizeof());
      assertOk(syl_kv_sequence_memory(sequence, memory));
      assertThat(memory.tokens()).isEqualTo(TOKENS);
    }
    syl_kv_sequence_free(sequence);
    assertOk(syl_kv_cache_free(cache));
    syl_kv_plan_free(plan);
  }

  private void byForeignFunctions() {
    KvGeometry geometry = KvGeometry.of(1, 4, 2, HEAD_DIM);
    try (KvPlan plan = KvPlan.of(geometry, KvOptions.preset("quarot", 4).withWindow(32));
        KvCache cache = KvCache.of(plan, KvCacheOptions.ofTokens(TOKENS));
        KvSequence sequence = cache.newSequence();
        Arena arena = Arena.ofConfined()) {
      planByFfm = plan.toBytes();
      sequence.append(0, k, v);
      sequenceByFfm = sequence.save(arena).toArray(JAVA_BYTE);
      attentionByFfm = sequence.attend(0, q);
      bidirectionalByFfm = sequence.attendBidirectional(0, q, UNPACKED);
    }
  }

  private syl_kv_plan plan() {
    syl_kv_plan plan = new syl_kv_plan();
    try (syl_kv_geometry geometry = new syl_kv_geometry();
        syl_kv_options options = new syl_kv_options()) {
      geometry.struct_size(geometry.sizeof()).layers(1).q_heads(4).kv_heads(2).head_dim(HEAD_DIM);
      geometry.scale(0.125f).rope_magnitude(1);
      options.struct_size(options.sizeof());
      assertOk(syl_kv_preset("quarot", 4, options));
      options.window(32);
      assertOk(syl_kv_plan_new(geometry, options, null, plan));
    }
    long[] size = new long[1];
    assertOk(syl_kv_plan_size(plan, size));
    try (BytePointer file = new BytePointer(size[0])) {
      assertOk(syl_kv_plan_save(plan, file, size[0]));
      assertThat(bytes(file)).isEqualTo(planByFfm);
    }
    return plan;
  }

  private static byte[] bytes(BytePointer pointer) {
    byte[] bytes = new byte[(int) pointer.capacity()];
    pointer.get(bytes);
    return bytes;
  }

  private float[] gaussian(int count) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }

  private static void assertOk(int status) {
    assertThat(status).as(syl_last_error().getString()).isEqualTo(SYL_OK);
  }
}
