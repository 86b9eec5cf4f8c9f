package dev.sylvester.tests;

import static java.lang.foreign.MemorySegment.NULL;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.assertj.core.api.Assertions.assertThat;

import dev.sylvester.jni.syl_hadamard;
import dev.sylvester.jni.syl_hadamard_options;
import dev.sylvester.jni.sylvester;
import dev.sylvester.kernels.ffi.SylvesterFfi;
import java.lang.foreign.MemorySegment;
import org.bytedeco.javacpp.FloatPointer;
import org.junit.jupiter.api.Test;

/** Rotations by JNI and by the foreign function interface: the same bytes. */
class HadamardJniFfmTest extends JniFfm {
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
}
