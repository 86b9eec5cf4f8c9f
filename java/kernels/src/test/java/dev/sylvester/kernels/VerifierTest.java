package dev.sylvester.kernels;

import static dev.sylvester.kernels.TestData.assertRefused;
import static dev.sylvester.kernels.TestData.floats;
import static dev.sylvester.kernels.TestData.ints;
import static dev.sylvester.kernels.TestData.rows;
import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.data.Offset.offset;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class VerifierTest {
  private static final int V = 6;

  private final Arena arena = Arena.ofConfined();
  private final Workspace workspace = new Workspace();
  private final Sampler hot =
      Sampler.of(SamplerOptions.GREEDY.withTemperature(1).withSeed(3), arena);
  private final Sampler greedy = Sampler.of(SamplerOptions.GREEDY, arena);
  private final Verifier verifier = Verifier.allocate(3, 16, arena);
  private final MemorySegment logits = rows(arena, 5, 16, V, V);

  @AfterEach
  void free() {
    workspace.close();
    arena.close();
  }

  private void verify() {
    verifier.verify(workspace, null);
  }

  private int largest(int row) {
    return LogitsStats.of(row(row)).argmax(0);
  }

  private float[] row(int row) {
    return logits.asSlice((long) row * V * Float.BYTES, V * Float.BYTES).toArray(JAVA_FLOAT);
  }

  @Test
  void greedyAcceptsTheLargest() {
    int[] good = {largest(0), largest(1), largest(2)};
    int[] bad = {largest(4), (largest(5) + 1) % V};
    verifier.begin(SpecMode.GREEDY, V);
    verifier.add(greedy, 10, good, 3);
    verifier.add(greedy, 20, bad, 2);
    verifier.add(greedy, 0, bad, 0);
    verifier.logits(logits, V);
    verifier.withAcceptance();
    verify();
    assertThat(verifier.accepted(0)).isEqualTo(3);
    assertThat(verifier.next(0)).isEqualTo(largest(3));
    assertThat(verifier.accepted(1)).isEqualTo(1);
    assertThat(verifier.next(1)).isEqualTo(largest(5));
    assertThat(verifier.accepted(2)).isZero();
    assertThat(verifier.next(2)).isEqualTo(largest(7));
    int[] path = new int[8];
    Arrays.setAll(path, verifier::path);
    assertThat(path).containsExactly(1, 2, 3, -1, 1, -1, -1, -1);
    assertThat(verifier.acceptance(5)).isEqualTo(1);
    assertThat(verifier.acceptance(6)).isZero();
    assertThat(verifier.acceptance(7)).isNaN();
  }

  @Test
  void aTreeIsWalkedFromParentToChild() {
    int second = (largest(0) + 1) % V;
    int[] nodes = {0, second, largest(0), largest(2), 1};
    int[] parents = {0, 0, 0, 2, 1};
    verifier.begin(SpecMode.GREEDY, V);
    verifier.addTree(greedy, 10, nodes, parents, 5);
    verifier.logits(logits, V);
    verify();
    assertThat(verifier.accepted(0)).isEqualTo(2);
    assertThat(verifier.path(0)).isEqualTo(2);
    assertThat(verifier.path(1)).isEqualTo(3);
    assertThat(verifier.next(0)).isEqualTo(largest(3));
  }

  @Test
  void exactDrawsAsTheSamplerDoes() {
    int[] drawn = new int[4];
    for (int i = 0; i < 4; i++) {
      MemorySegment row = logits.asSlice((long) i * V * Float.BYTES, V * Float.BYTES);
      drawn[i] = hot.sample(row, V, 30 + i, workspace);
    }
    verifier.begin(SpecMode.EXACT, V);
    verifier.add(hot, 30, drawn, 3);
    verifier.logits(logits, V);
    verify();
    assertThat(verifier.accepted(0)).isEqualTo(3);
    assertThat(verifier.next(0)).isEqualTo(drawn[3]);
  }

  private double probability(int row, int token) {
    double sum = 0;
    for (float logit : row(row)) {
      sum += Math.exp(logit);
    }
    return Math.exp(row(row)[token]) / sum;
  }

  /** One candidate, every kind of draft, uniforms on both sides of min(1, p / q). */
  @Test
  void tokensAreAcceptedWithTheRatioOfProbabilities() {
    MemorySegment draftLogits = rows(arena, 9, 2, V, V);
    double[] q = new double[V];
    double sum = 0;
    for (int i = 0; i < V; i++) {
      q[i] = Math.exp(draftLogits.getAtIndex(JAVA_FLOAT, i));
      sum += q[i];
    }
    MemorySegment probabilities = arena.allocate(JAVA_FLOAT, 2L * V);
    int[] ids = new int[V];
    for (int i = 0; i < V; i++) {
      q[i] /= sum;
      ids[i] = i;
      probabilities.setAtIndex(JAVA_FLOAT, i, (float) q[i]);
    }
    MemorySegment uniforms = arena.allocate(JAVA_DOUBLE, 4);
    for (int token = 0; token < V; token++) {
      for (int kind = 0; kind < 4; kind++) {
        double ratio = Math.min(1, probability(0, token) / (kind == 0 ? 1 : q[token]));
        for (double u : new double[] {ratio * (1 - 1e-5), ratio * (1 + 1e-5)}) {
          verifier.begin(SpecMode.TOKEN, V);
          verifier.add(hot, 8, new int[] {token}, 1);
          verifier.logits(logits, V);
          switch (kind) {
            case 1 -> verifier.draft().logits(draftLogits, V, V);
            case 2 -> verifier.draft().probabilities(probabilities, V, V);
            case 3 -> verifier.draft().sparse(ints(arena, ids), probabilities, V, 0);
            default -> {}
          }
          uniforms.setAtIndex(JAVA_DOUBLE, 2, Math.min(u, 1 - 0x1p-53));
          verifier.uniforms(uniforms);
          verifier.withAcceptance();
          verify();
          assertThat((double) verifier.acceptance(1)).isCloseTo(ratio, offset(1e-5));
          boolean accepts = u < ratio || ratio == 1;
          assertThat(verifier.accepted(0)).isEqualTo(accepts ? 1 : 0);
          assertThat(verifier.impossible(1)).isFalse();
        }
      }
    }
  }

  @Test
  void whatTheDraftCannotHaveDrawnIsRejectedAndMarked() {
    verifier.begin(SpecMode.TOKEN, V);
    verifier.add(hot, 8, new int[] {2}, 1);
    verifier.logits(logits, V);
    verifier.draft().sparse(ints(arena, 1, 3), floats(arena, 0.5f, 0.5f), 2, 0);
    verify();
    assertThat(verifier.accepted(0)).isZero();
    assertThat(verifier.impossible(1)).isTrue();
    assertThat(verifier.residualEmpty(0)).isFalse();
  }

  @Test
  void masksBiasHistoryAndEndsCount() {
    int[] good = {largest(0), largest(1)};
    MemorySegment masks = ints(arena, ~(1 << good[0]), -1, -1);
    verifier.begin(SpecMode.GREEDY, V);
    verifier.add(greedy, 1, good, 2);
    verifier.logits(logits, V);
    verifier.allowed(masks, 1);
    verify();
    assertThat(verifier.accepted(0)).isZero();
    assertThat(verifier.next(0)).isNotEqualTo(good[0]);

    verifier.begin(SpecMode.GREEDY, V);
    verifier.add(greedy, 1, good, 2);
    verifier.logits(logits, V);
    verifier.bias(ints(arena, (good[0] + 1) % V), floats(arena, 99), 1);
    verify();
    assertThat(verifier.next(0)).isEqualTo((good[0] + 1) % V);

    verifier.begin(SpecMode.GREEDY, V);
    verifier.add(greedy, 1, good, 2);
    verifier.logits(logits, V);
    verifier.endTokens(ints(arena, good[0]), 1);
    verify();
    assertThat(verifier.accepted(0)).isEqualTo(1);
    assertThat(verifier.next(0)).isEqualTo(-1);

    Sampler penal = Sampler.of(SamplerOptions.GREEDY.withPenalties(1, 50, 0), arena);
    verifier.begin(SpecMode.GREEDY, V);
    verifier.add(penal, 1, good, 2);
    verifier.logits(logits, V);
    verifier.history(ints(arena, good[0]), 1);
    verify();
    assertThat(verifier.next(0)).isNotEqualTo(good[0]);
  }

  @Test
  void aReducedVocabularyIsThatOfTheTarget() {
    // The draft knows tokens 1 and 4 only, half and half.
    verifier.begin(SpecMode.TOKEN, V);
    verifier.add(hot, 8, new int[] {4}, 1);
    verifier.logits(logits, V);
    verifier.draft().logits(floats(arena, 0, 0, 0, 0), 2, 2);
    verifier.draft().vocabulary(ints(arena, 1, 4));
    verifier.withAcceptance();
    verify();
    assertThat((double) verifier.acceptance(1))
        .isCloseTo(Math.min(1, probability(0, 4) / 0.5), offset(1e-6));
  }

  private void begin() {
    verifier.begin(SpecMode.TOKEN, V);
    verifier.add(hot, 8, new int[] {2, 3}, 2);
    verifier.logits(logits, V);
  }

  @Test
  void badShapesAreRefused() {
    Verifier fresh = Verifier.allocate(1, 2, arena);
    assertRefused(Status.NULL_ARGUMENT, "begin", () -> fresh.add(hot, 0, new int[1], 1));
    assertRefused(Status.BAD_SHAPE, "no text", () -> fresh.verify(workspace, null));
    fresh.begin(SpecMode.TOKEN, V);
    assertRefused(Status.BAD_SHAPE, "1 texts and 2 nodes", () -> fresh.add(hot, 0, new int[2], 2));
    assertRefused(
        Status.BAD_SHAPE, "candidates has 1 elements", () -> fresh.add(hot, 0, new int[1], 2));
    assertRefused(Status.BAD_VALUE, "count is -1", () -> fresh.add(hot, 0, new int[1], -1));
    assertRefused(
        Status.BAD_VALUE, "1..256", () -> fresh.addTree(hot, 0, new int[0], new int[0], 0));
    fresh.add(hot, 0, new int[1], 1);
    assertRefused(Status.BAD_SHAPE, "text 1", () -> fresh.add(hot, 0, new int[1], 0));
    assertRefused(Status.NULL_ARGUMENT, "logits is null", () -> fresh.verify(workspace, null));
    fresh.logits(logits, V);
    assertRefused(Status.BAD_VALUE, "counts is 2", () -> fresh.history(null, 1, 1));
    assertRefused(Status.BAD_VALUE, "counts is -1", () -> fresh.history(null, -1));
    fresh.history(ints(arena, 1), 2);
    assertRefused(Status.BAD_SHAPE, "history ids has", () -> fresh.verify(workspace, null));
    assertRefused(Status.BAD_VALUE, "maxRows is 1", () -> Verifier.allocate(2, 1, arena));
    assertRefused(Status.NULL_ARGUMENT, "arena", () -> Verifier.allocate(1, 1, null));
    begin();
    verifier.logits(logits.asSlice(0, (3 * V - 1) * Float.BYTES), V);
    assertRefused(Status.BAD_SHAPE, "logits has", this::verify);
    verifier.logits(MemorySegment.ofArray(new float[3 * V]), V);
    assertRefused(Status.BAD_VALUE, "heap", this::verify);
    verifier.logits(logits, V - 1);
    assertRefused(Status.BAD_SHAPE, "stride", this::verify);
    verifier.logits(logits, Long.MAX_VALUE);
    assertRefused(Status.BAD_SHAPE, "impossible shape", this::verify);
    begin();
    verifier.allowed(ints(arena, -1, -1), 1);
    assertRefused(Status.BAD_SHAPE, "allowed masks has", this::verify);
    begin();
    verifier.endTokens(ints(arena, 1), 2);
    assertRefused(Status.BAD_SHAPE, "end token ids has", this::verify);
    assertThatThrownBy(() -> verifier.accepted(0)).isInstanceOf(IndexOutOfBoundsException.class);
  }

  @Test
  void badDraftsAreRefused() {
    VerifierDraft draft = verifier.draft();
    begin();
    draft.logits(logits, V, V - 1);
    assertRefused(Status.BAD_SHAPE, "cols", this::verify);
    draft.logits(logits.asSlice(4, 4), V, V);
    assertRefused(Status.BAD_SHAPE, "draft rows has", this::verify);
    draft.probabilities(null, V, V);
    assertRefused(Status.NULL_ARGUMENT, "draft rows", this::verify);
    draft.probabilities(logits, V, V);
    assertRefused(Status.BAD_VALUE, "sum to 1", this::verify);
    assertRefused(
        Status.BAD_SHAPE, "counts has 2", () -> draft.sparse(ints(arena), floats(arena), 1, 1));
    draft.sparse(ints(arena, 2), floats(arena, 1), 1, 1, 0);
    assertRefused(Status.BAD_SHAPE, "draft rows has", this::verify);
    draft.sparse(ints(arena, 2, 3), floats(arena, 1, 1), 1, 1, 0);
    draft.vocabulary(ints(arena, 1));
    assertRefused(Status.UNSUPPORTED, "sparse", this::verify);
    draft.logits(logits, V, V);
    assertRefused(Status.BAD_SHAPE, "values has 2", () -> draft.logProbabilities(new float[2]));
    assertRefused(Status.BAD_VALUE, "sequence is 1", () -> draft.sampler(1, hot));
    draft.logProbabilities(new float[3]);
    verifier.add(hot, 8, new int[0], 0);
    assertRefused(Status.BAD_SHAPE, "3 nodes, the batch has 4", this::verify);
    verifier.begin(SpecMode.BLOCK, V);
    verifier.addTree(hot, 8, new int[3], new int[3], 3);
    verifier.logits(logits, V);
    assertRefused(Status.UNSUPPORTED, "chains", this::verify);
    begin();
    draft.logits(logits, V, V);
    draft.withoutReplacement();
    draft.sampler(0, greedy);
    verify();
  }

  @Test
  void closedMemoryIsRefused() {
    begin();
    try (Arena other = Arena.ofConfined()) {
      verifier.logits(other.allocate(3L * V * Float.BYTES), V);
    }
    assertThatThrownBy(this::verify).isInstanceOf(IllegalStateException.class);
    Arena owner = Arena.ofConfined();
    Verifier closed = Verifier.allocate(1, 4, owner);
    closed.begin(SpecMode.TOKEN, V);
    closed.add(hot, 8, new int[] {2}, 1);
    closed.logits(logits, V);
    owner.close();
    assertThatThrownBy(() -> closed.verify(workspace, null))
        .isInstanceOf(IllegalStateException.class);
  }
}
