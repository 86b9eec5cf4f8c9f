package dev.sylvester.cuda;

import static dev.sylvester.cuda.DeviceMemoryTest.bytes;
import static dev.sylvester.cuda.Elements.assertSame;
import static dev.sylvester.cuda.Elements.random;
import static dev.sylvester.kernels.TestData.assertRefused;
import static dev.sylvester.kernels.TestData.ints;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.sylvester.kernels.DType;
import dev.sylvester.kernels.LogitsOptions;
import dev.sylvester.kernels.LogitsStats;
import dev.sylvester.kernels.RowSelector;
import dev.sylvester.kernels.RowSelector.Score;
import dev.sylvester.kernels.Status;
import dev.sylvester.kernels.SylvesterException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Statistics and selections on the device are those of the processor. */
class CudaLogitsStatsTest {
  private static final int ROWS = 5;
  private static final int COLS = 4200; // more than a chunk
  private static final int STRIDE = COLS + 3;

  private final DeviceCopies copies = new DeviceCopies();
  private final LogitsOptions options = LogitsOptions.allocate(copies.arena);
  private final LogitsStats onProcessor = LogitsStats.allocate(ROWS, copies.arena);
  private final LogitsStats brought = LogitsStats.allocate(ROWS, copies.arena);
  private final CudaLogitsStats stats = CudaLogitsStats.allocate(ROWS, DeviceCopies.DEVICE);

  @AfterEach
  void free() {
    stats.close();
    copies.close();
  }

  private MemorySegment logits(DType type, long seed) {
    return copies.host(random(type, type.bytes((ROWS - 1) * STRIDE + COLS), 0, seed));
  }

  /** Computes on both sides; the statistics of the processor come first. */
  private void compute(
      MemorySegment logits,
      MemorySegment unconditional,
      MemorySegment list,
      MemorySegment streams,
      int count) {
    onProcessor.compute(
        options, logits, unconditional, STRIDE, ROWS, COLS, list, streams, count, null);
    enqueue(logits, unconditional, list, streams, count);
    stats.await();
    stats.copyTo(brought, count, null);
  }

  private void enqueue(
      MemorySegment logits,
      MemorySegment unconditional,
      MemorySegment list,
      MemorySegment streams,
      int count) {
    stats.compute(
        options,
        copies.of(logits),
        unconditional == null ? null : copies.of(unconditional),
        STRIDE,
        ROWS,
        COLS,
        list == null ? null : copies.of(list),
        streams == null ? null : copies.of(streams),
        count,
        copies.allocate(stats.workspaceBytes(options, COLS, count)),
        null);
  }

  @ParameterizedTest
  @EnumSource(names = {"F32", "F16", "BF16"})
  void statisticsHaveTheBitsOfTheProcessor(DType type) {
    options.type(type);
    compute(logits(type, 1), null, null, null, ROWS);
    assertSame("statistic", bytes(brought.toNative()), bytes(onProcessor.toNative()));

    options.guidance(1.5f).temperature(0.8f).drawTemperature(1.1f).seed(7).step(3);
    options.banned(5, 4199, 17).ignored(3, 4100);
    MemorySegment list = ints(copies.arena, 4, 0, 2);
    MemorySegment streams = copies.arena.allocateFrom(JAVA_LONG, 70, -1, 1L << 40);
    compute(logits(type, 2), logits(type, 3), list, streams, 3);
    assertSame("statistic", bytes(brought.toNative()), bytes(onProcessor.toNative()));
    assertThat(brought.token(2)).as("something was drawn").isNotEqualTo(brought.argmax(2));

    options.topK(50).topP(0.9f);
    compute(logits(type, 2), logits(type, 3), list, streams, 3);
    assertSame("statistic", bytes(brought.toNative()), bytes(onProcessor.toNative()));
  }

  static Stream<Arguments> rules() {
    return Stream.of(
        Arguments.of("fixed", 0),
        Arguments.of("margin", 1),
        Arguments.of("entropy", 2),
        Arguments.of("threshold", 3),
        Arguments.of("factor", 4),
        Arguments.of("last too", 5),
        Arguments.of("entropy bound", 6));
  }

  private RowSelector rule(int number) {
    return switch (number) {
      case 0 -> RowSelector.fixedK(Score.CONFIDENCE, 2, copies.arena);
      case 1 -> RowSelector.fixedK(Score.MARGIN, 9, copies.arena);
      case 2 -> RowSelector.fixedK(Score.NEGATIVE_ENTROPY, 3, copies.arena);
      case 3 -> RowSelector.threshold(0.004, copies.arena);
      case 4 -> RowSelector.factor(2.99, false, copies.arena);
      case 5 -> RowSelector.factor(4.99, true, copies.arena);
      default -> RowSelector.entropyBound(16, copies.arena);
    };
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("rules")
  void selectionsAreThoseOfTheProcessor(String name, int number) {
    compute(logits(DType.F32, 4), null, null, null, ROWS);
    RowSelector rule = rule(number);
    MemorySegment masked = copies.arena.allocateFrom(JAVA_BYTE, new byte[] {1, 1, 0, -1, 1});
    try (CudaRowSelector selector = CudaRowSelector.of(rule, DeviceCopies.DEVICE)) {
      for (MemorySegment mask : new MemorySegment[] {null, masked}) {
        MemorySegment expected = ints(copies.arena, -7, -7, -7, -7, -7);
        DeviceMemory selected = copies.of(expected);
        int count = rule.select(onProcessor, mask, ROWS, expected);
        expected.asSlice(4L * count).fill((byte) -1); // the processor's scratch
        selected.slice(4L * count, 4L * (ROWS - count)).fill((byte) -1, null); // stays
        selector.select(stats, mask == null ? null : copies.of(mask), ROWS, selected, null);
        assertThat(selector.await()).isEqualTo(count).isPositive();
        assertSame("index", bytes(selected), bytes(expected));
      }
    }
  }

  @Test
  void aStepIsOneStream() {
    MemorySegment logits = logits(DType.F32, 5);
    onProcessor.compute(options, logits, null, STRIDE, ROWS, COLS, null, null, ROWS, null);
    RowSelector rule = RowSelector.fixedK(Score.CONFIDENCE, 3, copies.arena);
    MemorySegment expected = copies.arena.allocate(ROWS * 4L);
    rule.select(onProcessor, null, ROWS, expected);
    try (CudaStream stream = CudaStream.of(DeviceCopies.DEVICE);
        CudaRowSelector selector = CudaRowSelector.of(rule, DeviceCopies.DEVICE)) {
      DeviceMemory scratch = copies.allocate(stats.workspaceBytes(options, COLS, ROWS));
      DeviceMemory selected = copies.of(copies.arena.allocate(ROWS * 4L));
      DeviceMemory from = copies.of(logits);
      stats.compute(options, from, null, STRIDE, ROWS, COLS, null, null, ROWS, scratch, stream);
      selector.select(stats, null, ROWS, selected, stream);
      assertThat(selector.await()).isEqualTo(3);
      assertSame("index", bytes(selected.slice(0, 12)), bytes(expected.asSlice(0, 12)));
    }
  }

  private static String message(Runnable call) {
    return catchThrowableOfType(SylvesterException.class, call::run).getMessage();
  }

  @Test
  void badRowsAreNamedAsOnTheProcessor() {
    MemorySegment logits = logits(DType.F32, 6);
    logits.setAtIndex(JAVA_FLOAT, 2L * STRIDE + 4150, Float.NaN);
    MemorySegment list = ints(copies.arena, 4, 2, 1);
    String expected =
        message(
            () ->
                onProcessor.compute(
                    options, logits, null, STRIDE, ROWS, COLS, list, null, 3, null));
    assertThat(expected).contains("row 2, result 1: a logit is NaN");
    enqueue(logits, null, list, null, 3);
    assertThat(message(stats::await)).isEqualTo("syl_cuda_logits_stats_of" + tail(expected));
    RowSelector rule = RowSelector.threshold(0, copies.arena);
    try (CudaRowSelector selector = CudaRowSelector.of(rule, DeviceCopies.DEVICE)) {
      DeviceMemory selected = copies.allocate(12);
      selector.select(stats, null, 3, selected, null);
      String onCpu = message(() -> rule.select(onProcessor, null, 3, copies.arena.allocate(12)));
      assertThat(onCpu).contains("1");
      assertThat(message(selector::await)).isEqualTo("syl_cuda_dlm_select" + tail(onCpu));
    }
    enqueue(logits, null, ints(copies.arena, 0, 5), null, 2);
    assertRefused(Status.BAD_VALUE, "list[1] is 5, must be 0..4", stats::await);
  }

  private static String tail(String message) {
    return message.substring(message.indexOf(':'));
  }

  // ---- What is refused

  @Test
  void memoryThatIsTooSmallIsRefused() {
    int count = 2;
    DeviceMemory logits = copies.allocate(4 * 8);
    DeviceMemory four = copies.allocate(4);
    DeviceMemory list = copies.allocate(8);
    DeviceMemory streams = copies.allocate(16);
    DeviceMemory scratch = copies.allocate(stats.workspaceBytes(options, 4, count));
    List<DeviceMemory> good = Arrays.asList(logits, null, list, streams, scratch);
    compute(good, 4, count);
    assertRefused(
        Status.BAD_SHAPE,
        "CudaLogitsStats.compute: logits has 32 bytes, needed are 36",
        () -> compute(good, 5, count));
    String[] messages = {
      "logits has 4 bytes, needed are 32",
      "unconditional has 4 bytes, needed are 32",
      "list has 4 bytes, needed are 8",
      "streams has 4 bytes, needed are 16"
    };
    for (int i = 0; i < messages.length; i++) {
      List<DeviceMemory> bad = new ArrayList<>(good);
      bad.set(i, four);
      assertRefused(Status.BAD_SHAPE, messages[i], () -> compute(bad, 4, count));
      DeviceMemory far = DeviceMemory.foreign(DeviceCopies.OTHER, streams.memory());
      bad.set(i, far);
      assertRefused(Status.BAD_VALUE, "is on device 1, not 0", () -> compute(bad, 4, count));
    }
    List<DeviceMemory> bad = new ArrayList<>(good);
    bad.set(4, four);
    assertRefused(Status.WORKSPACE, "workspace_bytes is 4", () -> compute(bad, 4, count));
    bad.set(4, null);
    assertRefused(Status.NULL_ARGUMENT, "workspace is NULL", () -> compute(bad, 4, count));
    assertRefused(Status.BAD_VALUE, "count is 6, must be 0..5", () -> compute(good, 4, 6));
    assertRefused(Status.BAD_VALUE, "count is -1, must be 0..5", () -> compute(good, 4, -1));
  }

  private void compute(List<DeviceMemory> m, long stride, int count) {
    stats.compute(
        options, m.get(0), m.get(1), stride, 2, 4, m.get(2), m.get(3), count, m.get(4), null);
  }

  @Test
  void wrongSelectionsAreRefused() {
    RowSelector rule = RowSelector.threshold(2, copies.arena);
    CudaRowSelector selector = CudaRowSelector.of(rule, DeviceCopies.DEVICE);
    DeviceMemory selected = copies.allocate(8);
    assertRefused(Status.BAD_VALUE, "await: nothing was selected", selector::await);
    assertRefused(
        Status.BAD_VALUE, "bound is 2", () -> selector.select(stats, null, 2, selected, null));
    assertRefused(
        Status.BAD_SHAPE,
        "CudaRowSelector.select: selected has 8 bytes, needed are 12",
        () -> selector.select(stats, null, 3, selected, null));
    assertRefused(
        Status.BAD_SHAPE,
        "CudaRowSelector.select: masked has 8 bytes, needed are 9",
        () -> {
          try (CudaLogitsStats large = CudaLogitsStats.allocate(9, DeviceCopies.DEVICE)) {
            selector.select(large, selected, 9, selected, null);
          }
        });
    assertRefused(
        Status.BAD_VALUE,
        "count is 6, must be 0..5",
        () -> selector.select(stats, null, 6, selected, null));
    assertRefused(
        Status.BAD_VALUE,
        "stream is on device 1, not 0",
        () -> selector.select(stats, null, 1, selected, DeviceCopies.otherStream()));
    selector.close();
    assertThatIllegalStateException()
        .isThrownBy(() -> selector.select(stats, null, 1, selected, null))
        .withMessage("DeviceMemory is closed");
    assertRefused(
        Status.NULL_ARGUMENT,
        "CudaRowSelector.of: rule is null",
        () -> CudaRowSelector.of(null, DeviceCopies.DEVICE));
  }

  @Test
  void whatWasClosedIsRefused() {
    DeviceMemory list = DeviceMemory.allocate(DeviceCopies.DEVICE, 8);
    list.fill((byte) 0, null);
    DeviceMemory logits = copies.of(logits(DType.F32, 7));
    DeviceMemory scratch = copies.allocate(stats.workspaceBytes(options, COLS, 2));
    assertRefused(Status.BAD_VALUE, "await: nothing was computed", stats::await);
    stats.compute(options, logits, null, STRIDE, ROWS, COLS, list, null, 2, scratch, null);
    list.close();
    assertThatIllegalStateException().isThrownBy(stats::await);
    stats.close();
    stats.close();
    assertThatIllegalStateException()
        .isThrownBy(() -> stats.copyTo(brought, 2, null))
        .withMessage("DeviceMemory is closed");
    assertRefused(
        Status.BAD_VALUE,
        "CudaLogitsStats.allocate: rows is 0",
        () -> CudaLogitsStats.allocate(0, DeviceCopies.DEVICE));
    assertRefused(
        Status.BAD_VALUE,
        "CudaLogitsStats.copyTo: count is 6, must be 0..5",
        () -> stats.copyTo(brought, 6, null));
  }
}
