package dev.sylvester.cuda;

import static dev.sylvester.kernels.TestData.assertRefused;
import static dev.sylvester.kernels.TestData.floats;
import static dev.sylvester.kernels.TestData.ints;
import static dev.sylvester.kernels.TestData.rows;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.sylvester.kernels.Sampler;
import dev.sylvester.kernels.SamplerOptions;
import dev.sylvester.kernels.SpecMode;
import dev.sylvester.kernels.Status;
import dev.sylvester.kernels.Verifier;
import dev.sylvester.kernels.VerifierBatch;
import dev.sylvester.kernels.Workspace;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Batches have the same results on the device as on the processor. */
class CudaVerifierTest {
  private static final int V = 40;
  private static final int STRIDE = V + 3;
  private static final int ROWS = 10; // a chain of 4 candidates, a text of 5 nodes
  private static final int WORDS = 2;

  private final DeviceCopies copies = new DeviceCopies();
  private final Workspace workspace = new Workspace();
  private final Verifier expected = Verifier.allocate(2, ROWS, copies.arena);
  private final CudaVerifier verifier = CudaVerifier.allocate(2, ROWS, DeviceCopies.DEVICE);

  @AfterEach
  void free() {
    workspace.close();
    verifier.close();
    copies.close();
  }

  private Sampler sampler(float temperature, long seed) {
    SamplerOptions options = SamplerOptions.GREEDY.withTemperature(temperature).withSeed(seed);
    return Sampler.of(options, copies.arena);
  }

  /** All that is seen of a batch. */
  private static List<Object> results(VerifierBatch batch, boolean labels) {
    List<Object> all = new ArrayList<>();
    for (int s = 0; s < 2; s++) {
      all.add(List.of(batch.accepted(s), batch.next(s)));
    }
    for (int r = 0; r < ROWS; r++) {
      all.add(List.of(batch.path(r), batch.impossible(r), batch.residualEmpty(r)));
      all.add(labels ? batch.acceptance(r) : 0);
    }
    return all;
  }

  /** The texts of both batches. */
  private void begin(VerifierBatch batch, SpecMode mode, Random random, boolean tree) {
    int[] tokens = random.ints(5, 0, V).toArray();
    batch.begin(mode, V);
    batch.add(sampler(0.9f, random.nextLong()), 30, tokens, 4);
    if (tree) {
      batch.addTree(sampler(0.7f, random.nextLong()), 7, tokens, new int[] {0, 0, 0, 1, 1}, 5);
    } else {
      batch.add(sampler(0.7f, random.nextLong()), 7, tokens, 4);
    }
  }

  private void compare(boolean labels) {
    expected.verify(workspace, null);
    verifier.verify(copies.allocate(verifier.workspaceBytes()), null);
    verifier.await();
    assertThat(results(verifier, labels)).isEqualTo(results(expected, labels));
  }

  @ParameterizedTest
  @EnumSource
  void resultsAreThoseOfTheProcessor(SpecMode mode) {
    int accepted = 0;
    for (int round = 0; round < 24; round++) {
      int kind = round % 4;
      boolean tree = mode != SpecMode.BLOCK && round % 3 == 1;
      boolean labels = round % 2 == 0;
      MemorySegment logits = rows(copies.arena, round, ROWS, V, STRIDE);
      MemorySegment draft = rows(copies.arena, 100 + round, ROWS, V, STRIDE);
      MemorySegment probabilities = softmax(draft);
      MemorySegment ids = ints(copies.arena, range(ROWS * V, V));
      MemorySegment dense = dense(probabilities);
      for (VerifierBatch batch : List.of(expected, verifier)) {
        begin(batch, mode, new Random(round), tree);
        if (labels) {
          batch.withAcceptance();
        }
      }
      expected.logits(logits, STRIDE);
      verifier.logits(copies.of(logits), STRIDE);
      switch (kind) {
        case 1 -> {
          expected.draft().logits(draft, STRIDE, V);
          verifier.draftLogits(copies.of(draft), STRIDE, V);
          Sampler other = sampler(1.3f, round);
          expected.draft().sampler(0, other);
          verifier.draft().sampler(0, other);
        }
        case 2 -> {
          expected.draft().probabilities(probabilities, STRIDE, V);
          verifier.draftProbabilities(copies.of(probabilities), STRIDE, V);
        }
        case 3 -> {
          long[] counts = new long[ROWS];
          Arrays.fill(counts, V);
          expected.draft().sparse(ids, dense, counts);
          verifier.draft().sparse(ids, dense, counts);
        }
        default -> {}
      }
      compare(labels);
      accepted += verifier.accepted(0) + verifier.accepted(1);
    }
    assertThat(accepted).as("candidates that were accepted").isPositive();
  }

  @Test
  void masksBiasHistoryAndEndsCount() {
    MemorySegment logits = rows(copies.arena, 1, ROWS, V, STRIDE);
    MemorySegment masks = copies.arena.allocate(JAVA_INT, (ROWS - 1) * 3 + WORDS);
    for (long i = 0; i < masks.byteSize() / 4; i++) {
      masks.setAtIndex(JAVA_INT, i, 0x5a5a5a5a >>> (int) (i % 3));
    }
    for (VerifierBatch batch : List.of(expected, verifier)) {
      batch.begin(SpecMode.GREEDY, V);
      SamplerOptions options = SamplerOptions.GREEDY.withPenalties(1.2f, 0.5f, 0.1f);
      batch.add(Sampler.of(options, copies.arena), 3, new int[] {1, 2, 3, 4}, 4);
      batch.add(Sampler.of(options, copies.arena), 4, new int[] {5, 6, 7, 8}, 4);
      batch.history(ints(copies.arena, 1, 1, 9, 30), 3, 1);
      batch.bias(ints(copies.arena, 4, 39), floats(copies.arena, 9, -3), 1, 1);
      batch.endTokens(ints(copies.arena, 4), 1);
    }
    expected.logits(logits, STRIDE);
    expected.allowed(masks, 3);
    verifier.logits(copies.of(logits), STRIDE);
    verifier.allowed(copies.of(masks), 3);
    compare(false);
  }

  @Test
  void aReducedVocabularyIsThatOfTheTarget() {
    MemorySegment logits = rows(copies.arena, 3, ROWS, V, STRIDE);
    MemorySegment draft = rows(copies.arena, 4, ROWS, 4, 4);
    MemorySegment known = ints(copies.arena, 3, 8, 20, 33);
    for (VerifierBatch batch : List.of(expected, verifier)) {
      batch.begin(SpecMode.TOKEN, V);
      batch.add(sampler(1, 5), 0, new int[] {3, 8, 20, 33}, 4);
      batch.add(sampler(1, 6), 9, new int[] {33, 33, 3, 8}, 4);
      batch.withAcceptance();
    }
    expected.logits(logits, STRIDE);
    expected.draft().logits(draft, 4, 4);
    expected.draft().vocabulary(known);
    verifier.logits(copies.of(logits), STRIDE);
    verifier.draftLogits(copies.of(draft), 4, 4);
    verifier.draft().vocabulary(known);
    compare(true);
  }

  private static int[] range(int count, int modulo) {
    int[] values = new int[count];
    Arrays.setAll(values, i -> i % modulo);
    return values;
  }

  private MemorySegment softmax(MemorySegment logits) {
    MemorySegment p = copies.arena.allocate(logits.byteSize(), 8).copyFrom(logits);
    for (long r = 0; r < ROWS; r++) {
      double sum = 0;
      for (long i = 0; i < V; i++) {
        sum += Math.exp(logits.getAtIndex(JAVA_FLOAT, r * STRIDE + i));
      }
      for (long i = 0; i < V; i++) {
        double e = Math.exp(logits.getAtIndex(JAVA_FLOAT, r * STRIDE + i));
        p.setAtIndex(JAVA_FLOAT, r * STRIDE + i, (float) (e / sum));
      }
    }
    return p;
  }

  /** Without what lies between rows. */
  private MemorySegment dense(MemorySegment rows) {
    MemorySegment dense = copies.arena.allocate(JAVA_FLOAT, (long) ROWS * V);
    for (long r = 0; r < ROWS; r++) {
      MemorySegment.copy(rows, r * STRIDE * 4, dense, r * V * 4, V * 4L);
    }
    return dense;
  }

  // ---- What is refused

  private void describe(DeviceMemory logits) {
    verifier.begin(SpecMode.TOKEN, V);
    verifier.add(sampler(1, 1), 0, new int[] {1, 2}, 2);
    verifier.logits(logits, STRIDE);
  }

  @Test
  void wrongMemoryIsRefused() {
    DeviceMemory logits = copies.of(rows(copies.arena, 1, 3, V, STRIDE));
    describe(logits.slice(0, logits.byteSize() - 1));
    assertRefused(
        Status.BAD_SHAPE,
        "CudaVerifier.workspaceBytes: logits has 503 bytes, the shape needs 504",
        verifier::workspaceBytes);
    describe(logits);
    DeviceMemory scratch = copies.allocate(verifier.workspaceBytes());
    assertRefused(
        Status.WORKSPACE,
        "workspace_bytes is 64",
        () -> verifier.verify(scratch.slice(0, 64), null));
    assertRefused(Status.NULL_ARGUMENT, "workspace is NULL", () -> verifier.verify(null, null));
    DeviceMemory far = DeviceMemory.foreign(DeviceCopies.OTHER, logits.memory());
    assertRefused(
        Status.BAD_VALUE,
        "CudaVerifier.logits: logits is on device 1, not 0",
        () -> verifier.logits(far, STRIDE));
    assertRefused(
        Status.BAD_VALUE,
        "CudaVerifier.verify: stream is on device 1, not 0",
        () -> verifier.verify(scratch, DeviceCopies.otherStream()));
    verifier.allowed(scratch.slice(0, 8), WORDS);
    assertRefused(
        Status.BAD_SHAPE,
        "CudaVerifier.verify: allowed masks has 8 bytes, the shape needs 24",
        () -> verifier.verify(scratch, null));
    describe(logits);
    verifier.draftProbabilities(logits.slice(0, 8), V, V);
    assertRefused(
        Status.BAD_SHAPE,
        "CudaVerifier.verify: draft rows has 8 bytes, the shape needs 480",
        () -> verifier.verify(scratch, null));
    assertRefused(
        Status.NULL_ARGUMENT,
        "CudaVerifier.draftLogits: logits is null",
        () -> verifier.draftLogits(null, V, V));
    assertRefused(
        Status.BAD_VALUE,
        "CudaVerifier.allocate: maxRows is 0",
        () -> CudaVerifier.allocate(1, 0, DeviceCopies.DEVICE));
    assertRefused(
        Status.NULL_ARGUMENT,
        "CudaVerifier.allocate: device is null",
        () -> CudaVerifier.allocate(1, 1, null));
  }

  @Test
  void badRowsAreTold() {
    MemorySegment logits = rows(copies.arena, 1, 3, V, STRIDE);
    logits.setAtIndex(JAVA_FLOAT, 7, Float.POSITIVE_INFINITY);
    describe(copies.of(logits));
    assertRefused(Status.BAD_VALUE, "await: nothing was verified", verifier::await);
    DeviceMemory scratch = copies.allocate(verifier.workspaceBytes());
    verifier.verify(scratch, null);
    assertRefused(Status.BAD_VALUE, "inf", verifier::await);
    assertThatThrownBy(() -> verifier.accepted(0)).isInstanceOf(IndexOutOfBoundsException.class);
    logits.setAtIndex(JAVA_FLOAT, 7, 1);
    describe(copies.of(logits));
    assertRefused(Status.BAD_VALUE, "await: nothing was verified", verifier::await);
    verifier.verify(scratch, null);
    verifier.await();
    assertThat(verifier.accepted(0)).isBetween(0, 2);
  }

  @Test
  void closedMemoryIsRefused() {
    DeviceMemory logits = DeviceMemory.allocate(DeviceCopies.DEVICE, 3 * STRIDE * 4);
    describe(logits);
    DeviceMemory scratch = copies.allocate(verifier.workspaceBytes());
    logits.close();
    assertThatIllegalStateException().isThrownBy(() -> verifier.verify(scratch, null));
    assertThatIllegalStateException()
        .isThrownBy(() -> verifier.logits(logits, STRIDE))
        .withMessage("DeviceMemory is closed");
    verifier.close();
    verifier.close();
    describe(copies.allocate(3 * STRIDE * 4));
    assertThatIllegalStateException()
        .isThrownBy(() -> verifier.verify(scratch, null))
        .withMessage("DeviceMemory is closed");
  }
}
