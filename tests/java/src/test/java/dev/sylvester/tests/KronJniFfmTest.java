package dev.sylvester.tests;

import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.assertj.core.api.Assertions.assertThat;

import dev.sylvester.jni.syl_kron;
import dev.sylvester.jni.sylvester;
import dev.sylvester.kernels.ffi.SylvesterFfi;
import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.Test;

/** Adapters by JNI and by the foreign function interface: the same bytes. */
class KronJniFfmTest extends JniFfm {
  private static final int TERMS = 3;
  private static final int ROWS = 5;
  private static final int M = 4;
  private static final int N = 3;
  private static final int P = 5;
  private static final int Q = 8;
  private static final int OUT = M * P;
  private static final int IN = N * Q;

  private final MemorySegment u = gaussian(TERMS * M * N);
  private final MemorySegment v = gaussian(TERMS * P * Q);
  private final MemorySegment kron = arena.allocate(dev.sylvester.kernels.ffi.syl_kron.layout());
  private final MemorySegment x = gaussian(ROWS * IN);

  KronJniFfmTest() {
    dev.sylvester.kernels.ffi.syl_kron.struct_size(kron, (int) kron.byteSize());
    dev.sylvester.kernels.ffi.syl_kron.type(kron, SylvesterFfi.SYL_F32());
    dev.sylvester.kernels.ffi.syl_kron.terms(kron, TERMS);
    dev.sylvester.kernels.ffi.syl_kron.m(kron, M);
    dev.sylvester.kernels.ffi.syl_kron.n(kron, N);
    dev.sylvester.kernels.ffi.syl_kron.p(kron, P);
    dev.sylvester.kernels.ffi.syl_kron.q(kron, Q);
    dev.sylvester.kernels.ffi.syl_kron.u(kron, u);
    dev.sylvester.kernels.ffi.syl_kron.v(kron, v);
  }

  @Test
  void application() {
    try (syl_kron jni = jniKron()) {
      MemorySegment packed = arena.allocate(packedBytes(), 64);
      same(
          "kron_pack",
          packed,
          y -> SylvesterFfi.syl_kron_pack(kron, 0, y, y.byteSize()),
          y -> sylvester.syl_kron_pack(jni, 0, pointer(y), y.byteSize()));
      SylvesterFfi.syl_kron_pack(kron, 0, packed, packed.byteSize());
      MemorySegment size = arena.allocate(JAVA_LONG);
      assertThat(SylvesterFfi.syl_kron_workspace(packed, size)).isZero();
      MemorySegment workspace = arena.allocate(Math.max(1, size.get(JAVA_LONG, 0)));
      int add = SylvesterFfi.SYL_KRON_ACCUMULATE();
      same(
          "kron_apply",
          gaussian(ROWS * OUT),
          y ->
              SylvesterFfi.syl_kron_apply_f32(
                  packed, 0.7f, x, IN, ROWS, add, y, OUT, workspace, workspace.byteSize(), pool),
          y ->
              sylvester.syl_kron_apply_f32(
                  pointer(packed),
                  0.7f,
                  floats(x),
                  IN,
                  ROWS,
                  add,
                  floats(y),
                  OUT,
                  pointer(workspace),
                  workspace.byteSize(),
                  jniPool));
      same(
          "kron_delta",
          gaussian(OUT * IN),
          y -> SylvesterFfi.syl_kron_delta(kron, 0.7, 0, SylvesterFfi.SYL_F32(), y, IN, pool),
          y -> sylvester.syl_kron_delta(jni, 0.7, 0, sylvester.SYL_F32, pointer(y), IN, jniPool));
    }
  }

  @Test
  void gradient() {
    try (syl_kron jni = jniKron()) {
      MemorySegment size = arena.allocate(JAVA_LONG);
      assertThat(SylvesterFfi.syl_kron_gradient_workspace(kron, size)).isZero();
      MemorySegment workspace = arena.allocate(Math.max(1, size.get(JAVA_LONG, 0)));
      MemorySegment g = gaussian(ROWS * OUT);
      long duBytes = u.byteSize();
      long dvBytes = v.byteSize();
      same(
          "kron_gradient",
          gaussian(TERMS * (M * N + P * Q) + ROWS * IN),
          y ->
              SylvesterFfi.syl_kron_gradient_f32(
                  kron,
                  0.7f,
                  x,
                  IN,
                  g,
                  OUT,
                  ROWS,
                  y,
                  y.asSlice(duBytes),
                  y.asSlice(duBytes + dvBytes),
                  IN,
                  workspace,
                  workspace.byteSize(),
                  pool),
          y ->
              sylvester.syl_kron_gradient_f32(
                  jni,
                  0.7f,
                  floats(x),
                  IN,
                  floats(g),
                  OUT,
                  ROWS,
                  floats(y),
                  floats(y.asSlice(duBytes)),
                  floats(y.asSlice(duBytes + dvBytes)),
                  IN,
                  pointer(workspace),
                  workspace.byteSize(),
                  jniPool));
    }
  }

  private syl_kron jniKron() {
    syl_kron jni = new syl_kron();
    jni.struct_size(jni.sizeof()).type(sylvester.SYL_F32).terms(TERMS).m(M).n(N).p(P).q(Q);
    return jni.u(pointer(u)).v(pointer(v));
  }

  private long packedBytes() {
    MemorySegment info = arena.allocate(dev.sylvester.kernels.ffi.syl_kron_info.layout());
    dev.sylvester.kernels.ffi.syl_kron_info.struct_size(info, (int) info.byteSize());
    assertThat(SylvesterFfi.syl_kron_describe(kron, info)).isZero();
    return dev.sylvester.kernels.ffi.syl_kron_info.packed_bytes(info);
  }
}
