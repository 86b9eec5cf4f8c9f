package dev.sylvester.kernels;

import static dev.sylvester.kernels.KvModel.KEY_COLS;
import static dev.sylvester.kernels.KvModel.QUERY_COLS;
import static dev.sylvester.kernels.KvModel.append;
import static dev.sylvester.kernels.KvModel.part;
import static dev.sylvester.kernels.TestData.assertRefused;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class KvCacheTest {
  private static final int TOKENS = 150;
  private static final KvOptions OPTIONS = KvOptions.preset("best");

  @TempDir private Path folder;
  private final float[] q = KvModel.rows(1, 1, QUERY_COLS);
  private final float[] k = KvModel.rows(2, TOKENS, KEY_COLS);
  private final float[] v = KvModel.rows(3, TOKENS, KEY_COLS);

  static Stream<KvOptions> options() {
    return KvModel.options();
  }

  @Test
  void pagesAreTakenAndGivenBack() {
    try (KvPlan plan = KvModel.plan(OPTIONS.withWindow(0));
        KvCache cache = KvCache.of(plan, new KvCacheOptions(16, 12, 64))) {
      assertThat(cache.pages()).isEqualTo(12);
      assertThat(cache.usedPages()).isZero();
      assertThat(cache.bytes())
          .isEqualTo(KvCache.bytes(plan, new KvCacheOptions(16, 12, 64)))
          .isBetween(12 * plan.info().tileBytes(), 12 * plan.info().tileBytes() * 101 / 100 + 4096);
      assertThat(cache.geometry()).isEqualTo(KvModel.GEOMETRY);
      KvSequence sequence = cache.newSequence();
      append(sequence, k, v, 0, TOKENS);
      assertThat(cache.usedPages()).isEqualTo(10);
      KvSequence fork = sequence.fork(128);
      assertThat(cache.usedPages()).as("shared pages").isEqualTo(10);
      append(fork, k, v, 0, 32);
      assertThat(cache.usedPages()).isEqualTo(12);
      assertRefused(Status.OUT_OF_MEMORY, "", () -> append(fork, k, v, 0, 16));
      assertThat(fork.length(0)).isEqualTo(160);
      sequence.close();
      assertThat(cache.usedPages()).isEqualTo(10);
      fork.close();
      assertThat(cache.usedPages()).isZero();
    }
  }

  @ParameterizedTest
  @MethodSource("options")
  void savedSequencesContinue(KvOptions options) throws IOException {
    Path file = folder.resolve("sequence.kv");
    float[] expected;
    try (KvCache cache = KvModel.cache(options, TOKENS);
        KvSequence sequence = cache.newSequence()) {
      append(sequence, k, v, 0, 100);
      sequence.save(file);
      append(sequence, k, v, 100, 50);
      expected = sequence.attend(1, q);
    }
    try (KvCache cache = KvModel.cache(options, 4 * TOKENS);
        KvSequence loaded = cache.load(file);
        Arena arena = Arena.ofConfined()) {
      assertThat(loaded.length(1)).isEqualTo(100);
      assertThat(loaded.save(arena).toArray(JAVA_BYTE)).isEqualTo(Files.readAllBytes(file));
      append(loaded, k, v, 100, 50);
      assertThat(loaded.attend(1, q)).isEqualTo(expected);
    }
  }

  @Test
  void filesAreReplacedAsAWhole() throws IOException {
    Path file = folder.resolve("sequence.kv");
    Files.writeString(file, "an older one");
    try (KvCache cache = KvModel.cache(OPTIONS, 2 * TOKENS);
        KvSequence sequence = cache.newSequence();
        InputStream older = Files.newInputStream(file)) {
      append(sequence, k, v, 0, 100);
      sequence.save(file);
      assertThat(older).as("still there for those who have it open").hasContent("an older one");
      cache.load(file);
    }
    try (Stream<Path> files = Files.list(folder)) {
      assertThat(files).as("no temporary files").containsExactly(file);
    }
  }

  @Test
  void flippedBytesAreRefused() throws IOException {
    Path file = folder.resolve("sequence.kv");
    try (KvCache cache = KvModel.cache(OPTIONS, TOKENS);
        KvSequence sequence = cache.newSequence();
        Arena arena = Arena.ofConfined()) {
      append(sequence, k, v, 0, TOKENS);
      MemorySegment bytes = sequence.save(arena);
      long used = cache.usedPages();
      for (long at = 0; at < bytes.byteSize(); at += at < 256 ? 1 : 101) {
        byte good = bytes.get(JAVA_BYTE, at);
        bytes.set(JAVA_BYTE, at, (byte) (good ^ 0x10));
        assertRefused(Status.BAD_DATA, "", () -> cache.load(bytes));
        bytes.set(JAVA_BYTE, at, good);
      }
      for (long size : new long[] {0, 1, 63, 64, 1000, bytes.byteSize() - 1}) {
        assertRefused(Status.BAD_DATA, "", () -> cache.load(bytes.asSlice(0, size)));
      }
      bytes.set(JAVA_BYTE, 5000, (byte) (bytes.get(JAVA_BYTE, 5000) ^ 1));
      Files.write(file, bytes.toArray(JAVA_BYTE));
      assertRefused(Status.BAD_DATA, "offset", () -> cache.load(file));
      assertThat(cache.usedPages()).isEqualTo(used);
      assertRefused(
          Status.BAD_VALUE, "heap", () -> cache.load(MemorySegment.ofArray(new byte[100])));
      assertThatThrownBy(() -> cache.load(folder.resolve("none")))
          .isInstanceOf(NoSuchFileException.class);
      assertThatThrownBy(() -> sequence.save(folder.resolve("none/file")))
          .isInstanceOf(NoSuchFileException.class);
      assertRefused(Status.NULL_ARGUMENT, "file is null", () -> cache.load((Path) null));
      assertRefused(Status.NULL_ARGUMENT, "bytes", () -> cache.load((MemorySegment) null));
    }
  }

  @Test
  void sequencesOfAnotherPlanAreRefused() throws IOException {
    Path file = folder.resolve("sequence.kv");
    try (KvCache cache = KvModel.cache(OPTIONS, TOKENS);
        KvSequence sequence = cache.newSequence();
        KvCache other = KvModel.cache(OPTIONS.withBits(2, 3), TOKENS)) {
      append(sequence, k, v, 0, 20);
      sequence.save(file);
      assertRefused(Status.BAD_DATA, "", () -> other.load(file));
    }
  }

  @Test
  void closingACacheClosesItsSequences() {
    KvCache cache = KvModel.cache(OPTIONS, TOKENS);
    KvSequence sequence = cache.newSequence();
    append(sequence, k, v, 0, 40);
    KvSequence fork = sequence.fork(40);
    KvBatch batch = KvBatch.of(List.of(sequence, fork));
    sequence.close();
    sequence.close();
    assertClosed("KvSequence", () -> sequence.attend(0, q));
    assertThat(fork.attend(0, q)).hasSize(QUERY_COLS);
    assertClosed(
        "KvSequence", () -> batch.append(0, new long[2], null, 0, null, 0, null, null, null));
    assertThat(fork.attend(0, q)).as("not left taken by the batch").hasSize(QUERY_COLS);
    cache.close();
    cache.close();
    fork.close();
    assertClosed("KvCache", cache::newSequence);
    assertClosed("KvCache", cache::usedPages);
    for (Runnable call :
        List.<Runnable>of(
            () -> append(fork, k, v, 0, 1),
            () -> fork.attend(0, q),
            () -> fork.dequantize(0, KvSide.KEYS),
            () -> fork.codes(0, KvSide.KEYS, 0, 0, null, null, null),
            () -> fork.fork(0),
            () -> fork.truncate(0),
            () -> fork.truncatable(),
            () -> fork.remove(0, 0),
            () -> fork.length(0),
            () -> fork.memory(),
            () -> fork.save(Arena.global()),
            () -> KvBatch.of(List.of(fork)))) {
      assertClosed("KvSequence", call);
    }
  }

  @Test
  void plansMayBeClosedBeforeTheirCaches() {
    KvPlan plan = KvModel.plan(OPTIONS);
    try (KvCache cache = KvCache.of(plan, KvCacheOptions.ofTokens(TOKENS))) {
      plan.close();
      plan.close();
      assertClosed("KvPlan", () -> KvCache.of(plan, KvCacheOptions.ofTokens(TOKENS)));
      KvSequence sequence = cache.newSequence();
      append(sequence, k, v, 0, TOKENS);
      assertThat(sequence.attend(0, q)).hasSize(QUERY_COLS);
    }
  }

  private static void assertClosed(String what, Runnable call) {
    assertThatThrownBy(call::run)
        .isInstanceOf(IllegalStateException.class)
        .hasMessage(what + " is closed");
  }

  /** Each thread has sequences of its own; all share the pages of one prompt. */
  @Test
  void sequencesOfOneCacheOnSeveralThreads() {
    try (KvCache cache = KvModel.cache(OPTIONS, 20 * TOKENS);
        KvSequence prompt = cache.newSequence()) {
      append(prompt, k, v, 0, TOKENS);
      float[] expected = prompt.attend(1, q);
      List<KvSequence> forks = Stream.generate(() -> prompt.fork(TOKENS)).limit(4).toList();
      List<CompletableFuture<float[]>> results =
          forks.stream()
              .map(
                  fork ->
                      CompletableFuture.supplyAsync(
                          () -> {
                            for (int i = 0; i < 30; i++) {
                              append(fork, k, v, 0, 20);
                              fork.truncate(TOKENS);
                              cache.newSequence().close();
                              fork.fork(TOKENS).close();
                            }
                            return fork.attend(1, q);
                          }))
              .toList();
      for (CompletableFuture<float[]> result : results) {
        assertThat(result.join()).isEqualTo(expected);
      }
    }
  }

  /** One thread appends, another one tries all the same; none crashes, refusals say why. */
  @Test
  void oneCallAtATime() throws InterruptedException {
    try (KvCache cache = KvModel.cache(KvOptions.preset("q8"), TOKENS)) {
      KvSequence sequence = cache.newSequence();
      AtomicInteger refused = new AtomicInteger();
      Runnable calls =
          () -> {
            for (int i = 0; i < 500; i++) {
              try {
                sequence.append(0, part(k, 0, 4, KEY_COLS), part(v, 0, 4, KEY_COLS));
                sequence.append(1, part(k, 0, 4, KEY_COLS), part(v, 0, 4, KEY_COLS));
                sequence.attend(1, q);
                sequence.truncate(0);
              } catch (IllegalStateException e) {
                assertThat(e).hasMessage("KvSequence is in use by another call");
                refused.incrementAndGet();
              } catch (SylvesterException e) {
                // The other thread's appends and truncations lie between ours.
                assertThat(e.status()).isIn(Status.BAD_VALUE, Status.OUT_OF_MEMORY);
              }
            }
          };
      List<Thread> threads =
          Stream.generate(() -> Thread.ofPlatform().start(calls)).limit(3).toList();
      for (Thread thread : threads) {
        thread.join();
      }
      assertThat(refused.get()).isPositive();
    }
  }

  @Test
  void badSizesAreRefused() {
    try (KvPlan plan = KvModel.plan(KvOptions.preset("q8"))) {
      KvCacheOptions good = KvCacheOptions.ofTokens(1000);
      assertThat(good.pages() * good.pageTokens()).isGreaterThanOrEqualTo(1000);
      for (KvCacheOptions bad :
          List.of(
              good.withPages(8, 10),
              good.withPages(17, 10),
              good.withPages(8192, 10),
              good.withPages(64, 0),
              good.withPages(64, Long.MAX_VALUE),
              good.withMaxRows(0),
              good.withMaxRows(65537))) {
        assertRefused(Status.BAD_VALUE, "", () -> KvCache.of(plan, bad));
      }
      assertRefused(Status.NULL_ARGUMENT, "size", () -> KvCache.of(plan, null));
      assertRefused(Status.NULL_ARGUMENT, "plan", () -> KvCache.of(null, good));
    }
  }
}
