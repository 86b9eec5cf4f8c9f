package dev.sylvester.tests;

import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.assertj.core.api.Assertions.assertThat;

import dev.sylvester.jni.syl_pool;
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

/** JNI and the foreign function interface side by side: the same memory, the same bytes. */
abstract class JniFfm {
  private static final long SEED = 4;
  static final AddressLayout C_POINTER = ValueLayout.ADDRESS;

  final Arena arena = Arena.ofConfined();
  final syl_pool jniPool = new syl_pool();
  final MemorySegment pool;
  private final Random random = new Random(SEED);

  JniFfm() {
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

  /** Runs both on a copy of the output each; both succeed, change it, and agree on every byte. */
  void same(
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

  MemorySegment bytes(int count) {
    byte[] values = new byte[count];
    random.nextBytes(values);
    return arena.allocate(count, 64).copyFrom(MemorySegment.ofArray(values));
  }

  MemorySegment gaussian(int count) {
    MemorySegment values = arena.allocate(JAVA_FLOAT, count);
    for (int i = 0; i < count; i++) {
      values.setAtIndex(JAVA_FLOAT, i, (float) random.nextGaussian());
    }
    return values;
  }

  MemorySegment doubles(int count) {
    MemorySegment values = arena.allocate(JAVA_DOUBLE, count);
    for (int i = 0; i < count; i++) {
      values.setAtIndex(JAVA_DOUBLE, i, random.nextGaussian());
    }
    return values;
  }

  MemorySegment halves(int type, int count) {
    MemorySegment values = arena.allocate(2L * count);
    SylvesterFfi.syl_convert_from_f32(type, gaussian(count), count, values);
    return values;
  }

  // The same memory as JavaCPP sees it.

  static Pointer pointer(MemorySegment segment) {
    return new Pointer(segment.asByteBuffer());
  }

  static FloatPointer floats(MemorySegment segment) {
    return new FloatPointer(pointer(segment));
  }

  static DoublePointer doubles(MemorySegment segment) {
    return new DoublePointer(pointer(segment));
  }

  static IntPointer ints(MemorySegment segment) {
    return new IntPointer(pointer(segment));
  }

  static ShortPointer shorts(MemorySegment segment) {
    return new ShortPointer(pointer(segment));
  }

  static LongPointer longs(MemorySegment segment) {
    return new LongPointer(pointer(segment));
  }
}
