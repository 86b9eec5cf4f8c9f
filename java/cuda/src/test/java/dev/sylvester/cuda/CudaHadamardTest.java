package dev.sylvester.cuda;

import static dev.sylvester.cuda.Elements.assertSame;
import static dev.sylvester.cuda.Elements.random;
import static org.assertj.core.api.Assertions.assertThat;

import dev.sylvester.kernels.DType;
import dev.sylvester.kernels.Hadamard;
import dev.sylvester.kernels.HadamardLayout;
import dev.sylvester.kernels.HadamardOptions;
import dev.sylvester.kernels.HadamardOptions.Quantizer;
import dev.sylvester.kernels.HadamardOptions.Table;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** The bytes of a plan on the device are those of the plan on the processor, padding included. */
class CudaHadamardTest {
  private static final CudaDevice DEVICE = CudaDevice.of(0);
  private static final byte PADDING = 0x5a;

  static Stream<Arguments> plans() {
    return Stream.of(
        plan("one row", Hadamard.of(128)),
        plan("rows in registers", Hadamard.of(256).rows(9)),
        plan("smallest", Hadamard.of(2).rows(33)),
        plan("scaled", Hadamard.of(64).rows(3).scale(-0.3)),
        plan("rows in shared memory", Hadamard.of(4096).rows(3).signs(7)),
        plan("rows by passes", Hadamard.of(1 << 16).rows(2).signs(8)),
        plan("f16", Hadamard.of(512).rows(5).type(DType.F16).signs(3)),
        plan("bf16", Hadamard.of(128).rows(11).type(DType.BF16)),
        plan("bf16 to f32", Hadamard.of(128).rows(4).type(DType.BF16, DType.F32)),
        plan("f32 to f16", Hadamard.of(2048).rows(2).type(DType.F32, DType.F16)),
        plan("base 12", Hadamard.of(12 * 64).rows(3).base(12).signs(1)),
        plan("base 12 of others", Hadamard.of(12 * 8).rows(2).base(12, Table.QUAROT)),
        plan("base 28", Hadamard.of(28 * 16).rows(2).base(28)),
        plan("base 172", Hadamard.of(172 * 4).rows(2).base(172).type(DType.F16)),
        plan("regular", Hadamard.of(256).rows(3).regular().signs(2)),
        plan("blocks", Hadamard.of(96).rows(5).blocks(32)),
        plan("overlapped", Hadamard.of(100).rows(3).overlapped().rounds(4).signs(5)),
        plan("rounds", Hadamard.of(256).rows(2).rounds(3).signs(6)),
        plan("across heads", Hadamard.acrossHeads(32, 24).rows(3)),
        plan(
            "strides with padding",
            Hadamard.of(32).transforms(2, 3, 4).strides(520, 140, 35, 1).signs(4)),
        plan("gather", Hadamard.of(64).rows(3).gather(gather(64, 80), 80)));
  }

  static Stream<Arguments> quantizers() {
    return Stream.of(
        plan("i8", Hadamard.of(128).rows(7).signs(1).quantizer(Quantizer.I8)),
        plan("i8 of groups", Hadamard.of(256).rows(3).quantizer(Quantizer.I8, 32)),
        plan("i8 of f16", Hadamard.of(512).rows(3).type(DType.F16).quantizer(Quantizer.I8)),
        plan("u4", Hadamard.of(128).rows(5).quantizer(Quantizer.U4, 64)),
        plan("u2", Hadamard.of(128).rows(5).type(DType.BF16).quantizer(Quantizer.U2, 32)),
        plan("u2 of base 20", Hadamard.of(160).rows(2).base(20).quantizer(Quantizer.U2, 40)),
        plan(
            "groups of every eighth",
            Hadamard.of(64)
                .rows(3)
                .quantizer(Quantizer.U4, 8)
                .groupMap(IntStream.range(0, 64).map(i -> i % 8).toArray())));
  }

  private static Arguments plan(String name, HadamardOptions options) {
    return Arguments.of(name, options);
  }

  /** Distinct indices below length in no order, and some -1. */
  static int[] gather(int n, int length) {
    List<Integer> indices = new ArrayList<>(IntStream.range(0, length).boxed().toList());
    Collections.shuffle(indices, new Random(n));
    return IntStream.range(0, n).map(i -> i % 9 == 4 ? -1 : indices.get(i)).toArray();
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("plans")
  void bitsOfTheProcessor(String name, HadamardOptions options) {
    assertBitsOfTheProcessor(options, false, 42);
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("plans")
  void bitsOfTheProcessorTransposed(String name, HadamardOptions options) {
    assertBitsOfTheProcessor(options, true, 43);
  }

  static void assertBitsOfTheProcessor(HadamardOptions options, boolean transposed, long seed) {
    HadamardLayout layout = options.layout();
    DType from = transposed ? options.yType() : options.xType();
    DType to = transposed ? options.xType() : options.yType();
    long bytes = transposed ? layout.xBytes() : layout.yBytes();
    byte[] input =
        random(from, transposed ? layout.yBytes() : layout.xBytes(), layout.transforms(), seed);
    assertSame(
        to,
        onDevice(options, transposed, input, bytes),
        onProcessor(options, transposed, input, bytes));
  }

  private static byte[] onDevice(
      HadamardOptions options, boolean transposed, byte[] input, long outputBytes) {
    try (CudaStream stream = CudaStream.of(DEVICE);
        CudaHadamard plan = CudaHadamard.of(options, DEVICE);
        DeviceMemory from = DeviceMemory.allocate(DEVICE, input.length);
        DeviceMemory to = DeviceMemory.allocate(DEVICE, outputBytes);
        DeviceMemory workspace = workspace(plan)) {
      from.copyFrom(MemorySegment.ofArray(input), stream);
      to.fill(PADDING, stream);
      long transforms = plan.layout().transforms();
      if (transposed) {
        plan.applyTransposed(from, to, 0, transforms, workspace, stream);
      } else {
        plan.apply(from, to, 0, transforms, workspace, stream);
      }
      stream.await();
      assertSame("input", DeviceMemoryTest.bytes(from), input);
      return DeviceMemoryTest.bytes(to);
    }
  }

  private static byte[] onProcessor(
      HadamardOptions options, boolean transposed, byte[] input, long outputBytes) {
    try (Arena arena = Arena.ofConfined()) {
      Hadamard plan = options.build();
      MemorySegment from = copy(input, arena);
      MemorySegment to = arena.allocate(outputBytes).fill(PADDING);
      if (transposed) {
        plan.applyTransposed(from, to);
      } else {
        plan.apply(from, to);
      }
      return DeviceMemoryTest.bytes(to);
    }
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("quantizers")
  void codesOfTheProcessor(String name, HadamardOptions options) {
    assertCodesOfTheProcessor(options, 44);
  }

  static void assertCodesOfTheProcessor(HadamardOptions options, long seed) {
    HadamardLayout layout = options.layout();
    byte[] x = random(options.xType(), layout.xBytes(), layout.transforms(), seed);
    long all = layout.transforms();
    long scaleBytes = 4 * layout.scales();
    boolean zeros = options.quantizer().hasZeros();
    try (Arena arena = Arena.ofConfined();
        CudaHadamard plan = CudaHadamard.of(options, DEVICE);
        DeviceMemory from = DeviceMemory.allocate(DEVICE, x.length);
        DeviceMemory codes = DeviceMemory.allocate(DEVICE, layout.yBytes());
        DeviceMemory scales = DeviceMemory.allocate(DEVICE, scaleBytes);
        DeviceMemory zeroes = zeros ? DeviceMemory.allocate(DEVICE, scaleBytes) : null;
        DeviceMemory workspace = workspace(plan)) {
      from.copyFrom(MemorySegment.ofArray(x), null);
      plan.quantize(from, codes, scales, zeroes, 0, all, workspace, null);

      MemorySegment expectedCodes = arena.allocate(layout.yBytes());
      MemorySegment expectedScales = arena.allocate(scaleBytes);
      MemorySegment expectedZeros = zeros ? arena.allocate(scaleBytes) : null;
      options
          .build()
          .quantize(
              copy(x, arena), expectedCodes, expectedScales, expectedZeros, 0, all, null, null);
      assertSame("code", DeviceMemoryTest.bytes(codes), DeviceMemoryTest.bytes(expectedCodes));
      assertSame(DType.F32, DeviceMemoryTest.bytes(scales), DeviceMemoryTest.bytes(expectedScales));
      if (zeros) {
        assertSame(
            DType.F32, DeviceMemoryTest.bytes(zeroes), DeviceMemoryTest.bytes(expectedZeros));
      }
    }
  }

  @Test
  void partsMakeTheWhole() {
    HadamardOptions options = Hadamard.acrossHeads(16, 10).rows(4).signs(9);
    byte[] x = random(DType.F32, options.layout().xBytes(), 40, 45);
    byte[] expected = onProcessor(options, false, x, x.length);
    try (CudaHadamard plan = CudaHadamard.of(options, DEVICE);
        DeviceMemory memory = DeviceMemory.allocate(DEVICE, x.length)) {
      memory.copyFrom(MemorySegment.ofArray(x), null);
      for (long[] part : new long[][] {{17, 20}, {0, 17}, {37, 0}, {37, 3}}) {
        plan.apply(memory, memory, part[0], part[1], null, null);
      }
      assertSame(DType.F32, DeviceMemoryTest.bytes(memory), expected);
    }
  }

  @Test
  void threadsShareAPlan() throws Exception {
    HadamardOptions options = Hadamard.of(512).rows(8).signs(10);
    try (CudaHadamard plan = CudaHadamard.of(options, DEVICE);
        ExecutorService threads = Executors.newFixedThreadPool(4)) {
      List<Future<?>> runs = new ArrayList<>();
      for (int i = 0; i < 16; i++) {
        byte[] x = random(DType.F32, options.layout().xBytes(), 8, 100 + i);
        runs.add(
            threads.submit(
                () -> {
                  try (CudaStream stream = CudaStream.of(DEVICE);
                      DeviceMemory memory = DeviceMemory.allocate(DEVICE, x.length)) {
                    memory.copyFrom(MemorySegment.ofArray(x), stream);
                    plan.apply(memory, memory, stream);
                    byte[] y = new byte[x.length];
                    memory.copyTo(MemorySegment.ofArray(y), stream);
                    assertSame(DType.F32, y, onProcessor(options, false, x, x.length));
                  }
                }));
      }
      for (Future<?> run : runs) {
        run.get();
      }
    }
  }

  @Test
  void slicesAreTransformedAlone() {
    HadamardOptions options = Hadamard.of(64).rows(2);
    byte[] x = random(DType.F32, 3 * 512, 6, 46);
    try (CudaHadamard plan = CudaHadamard.of(options, DEVICE);
        DeviceMemory memory = DeviceMemory.allocate(DEVICE, x.length)) {
      memory.copyFrom(MemorySegment.ofArray(x), null);
      DeviceMemory middle = memory.slice(512, 512);
      plan.apply(middle, middle, null);
      byte[] expected = x.clone();
      byte[] input = Arrays.copyOfRange(x, 512, 1024);
      System.arraycopy(onProcessor(options, false, input, 512), 0, expected, 512, 512);
      assertSame(DType.F32, DeviceMemoryTest.bytes(memory), expected);
    }
  }

  @Test
  void planTellsWhatItDoes() {
    HadamardOptions options = Hadamard.of(64).rows(2);
    try (CudaHadamard plan = CudaHadamard.of(options, DEVICE)) {
      assertThat(plan.options()).isSameAs(options);
      assertThat(plan.layout().transforms()).isEqualTo(2);
      assertThat(plan.workspaceBytes(2)).isNotNegative();
    }
  }

  // ---- Both ways

  private static DeviceMemory workspace(CudaHadamard plan) {
    long bytes = plan.workspaceBytes(plan.layout().transforms());
    return bytes == 0 ? null : DeviceMemory.allocate(DEVICE, bytes);
  }

  private static MemorySegment copy(byte[] bytes, Arena arena) {
    return arena.allocate(bytes.length).copyFrom(MemorySegment.ofArray(bytes));
  }
}
