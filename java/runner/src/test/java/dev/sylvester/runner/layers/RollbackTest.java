package dev.sylvester.runner.layers;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.sylvester.kernels.DType;
import dev.sylvester.kernels.FloatCache;
import dev.sylvester.kernels.KvOptions;
import dev.sylvester.kernels.KvPlan;
import dev.sylvester.kernels.ThreadPool;
import dev.sylvester.runner.format.ModelFile;
import dev.sylvester.runner.hub.Catalog;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.reflect.Field;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Candidates that were read and forgotten leave nothing behind. */
class RollbackTest {
  private static final int SEED = 4711;
  private static final int CONTEXT = 160;

  private static ModelFile file;
  private static Arena arena;
  private static ThreadPool pool;
  private static Weights weights;

  @BeforeAll
  static void open() {
    file = ModelFile.open(Catalog.resolve("gsm-mini"));
    arena = Arena.ofShared();
    pool = ThreadPool.of(1);
    weights = Weights.load(file, CONTEXT, arena, pool);
  }

  @AfterAll
  static void close() {
    pool.close();
    arena.close();
    file.close();
  }

  private static TextCaches caches(String kind) throws IOException {
    return switch (kind) {
      case "f16", "f32" ->
          TextCaches.floats(weights, CONTEXT, pool, kind.equals("f16") ? DType.F16 : DType.F32);
      case "best", "rotatekv" -> {
        String plan = "plans/%s-2.kvplan".formatted(kind);
        KvPlan loaded =
            KvPlan.load(Catalog.resolve("gsm-mini").resolve(plan), weights.kvGeometry());
        yield TextCaches.packed(weights, CONTEXT, pool, loaded, 2);
      }
      default -> {
        KvPlan plan = KvPlan.of(weights.kvGeometry(), KvOptions.preset(kind));
        yield TextCaches.packed(weights, CONTEXT, pool, plan, 2);
      }
    };
  }

  private static int[] tokens(Random random, int count) {
    return random.ints(count, 0, file.config().vocabSize()).toArray();
  }

  private static float[] row(MemorySegment logits, int row) {
    long bytes = file.config().vocabSize() * (long) Float.BYTES;
    return logits.asSlice(row * bytes, bytes).toArray(ValueLayout.JAVA_FLOAT);
  }

  /** What a cache holds; of floats only when it is full, since they have no length. */
  private static byte[] bytes(Evaluator text) throws ReflectiveOperationException {
    TextCache cache = (TextCache) value(text, "cache");
    if (!(cache instanceof FloatTextCache)) {
      try (Arena scratch = Arena.ofConfined()) {
        return text.saveCache(scratch).toArray(ValueLayout.JAVA_BYTE);
      }
    }
    FloatCache[] layers = (FloatCache[]) value(cache, "layers");
    byte[] all = new byte[0];
    for (FloatCache layer : layers) {
      for (String side : new String[] {"keys", "values"}) {
        byte[] part = ((MemorySegment) value(layer, side)).toArray(ValueLayout.JAVA_BYTE);
        int end = all.length;
        all = Arrays.copyOf(all, end + part.length);
        System.arraycopy(part, 0, all, end, part.length);
      }
    }
    return all;
  }

  private static Object value(Object owner, String name) throws ReflectiveOperationException {
    Field field = owner.getClass().getDeclaredField(name);
    field.setAccessible(true);
    return field.get(owner);
  }

  /** Parents of a random tree; every other time a chain. */
  private static int[] parents(Random random, int count) {
    int[] parents = new int[count];
    for (int i = 1; i < count; i++) {
      parents[i] = random.nextInt(i);
    }
    return parents;
  }

  /** One round: reads candidates, keeps some. Returns what was kept. */
  private static int[] round(Evaluator text, Random random, int limit) {
    int most = Math.min(limit, 12);
    int count = 1 + random.nextInt(most);
    int[] ids = tokens(random, count);
    int kind = random.nextInt(3);
    if (kind == 0) {
      int kept = 1 + random.nextInt(count);
      int before = text.position();
      text.append(ids, count);
      text.truncate(before + kept);
      return Arrays.copyOf(ids, kept);
    }
    if (kind == 1) {
      // The first layers read some of the candidates in advance, or others.
      int split = 1 + random.nextInt(file.config().layers() - 1);
      int advance = random.nextInt(Math.min(count, text.trialRows()) + 1);
      for (int i = 0; i < advance; i++) {
        text.readAhead(random.nextInt(4) == 0 ? random.nextInt(700) : ids[i], split);
      }
      int kept = random.nextInt(count + 1);
      int before = text.position();
      if (random.nextInt(4) > 0) {
        text.append(ids, count);
        text.truncate(before + kept);
        return Arrays.copyOf(ids, kept);
      }
      text.truncate(before);
      return new int[0];
    }
    int[] parents = parents(random, count);
    text.readTree(ids, parents, count);
    int[] path = new int[count];
    int length = 1;
    for (int node = 1; node < count; node++) {
      if (parents[node] == path[length - 1] && random.nextBoolean()) {
        path[length++] = node;
      }
    }
    text.keep(path, length);
    return Arrays.stream(path, 0, length).map(node -> ids[node]).toArray();
  }

  @ParameterizedTest
  @ValueSource(strings = {"f16", "f32", "q8", "q4", "quarot", "turbo", "best", "rotatekv"})
  void randomHistoriesLeaveTheBytesOfPlainReading(String kind) throws Exception {
    int prompt = 21;
    for (int history = 0; history < 4; history++) {
      Random random = new Random(SEED + history);
      try (TextCaches caches = caches(kind);
          Evaluator text = caches.newText();
          Evaluator plain = caches.newText()) {
        int[] first = tokens(random, prompt);
        text.append(first, 0, prompt);
        plain.append(first, 0, prompt);
        while (text.position() < CONTEXT) {
          int room = CONTEXT - text.position();
          for (int token : round(text, random, room)) {
            plain.append(token);
          }
          assertThat(text.position()).isEqualTo(plain.position());
          if (!kind.startsWith("f")) {
            assertThat(bytes(text)).as("seed %d", SEED + history).isEqualTo(bytes(plain));
          }
        }
        assertThat(bytes(text)).as("seed %d", SEED + history).isEqualTo(bytes(plain));
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"f16", "q4", "turbo", "best"})
  void aTreesRowsAreThoseOfItsPaths(String kind) throws IOException {
    int[] parents = {0, 0, 1, 1, 0, 4, 5, 2, 4};
    int[][] paths = {
      {0}, {0, 1}, {0, 1, 2}, {0, 1, 3}, {0, 4}, {0, 4, 5}, {0, 4, 5, 6}, {0, 1, 2, 7}, {0, 4, 8}
    };
    Random random = new Random(SEED);
    int[] text = tokens(random, 64);
    int[] ids = tokens(random, parents.length);
    // Around the edges of tiles and pages.
    for (int length : new int[] {1, 14, 15, 16, 17, 31, 63, 64}) {
      try (TextCaches caches = caches(kind);
          Evaluator trees = caches.newText();
          Evaluator plain = caches.newText()) {
        trees.append(text, 0, length);
        plain.append(text, 0, length);
        float[][] rows = new float[ids.length][];
        MemorySegment logits = trees.readTree(ids, parents, ids.length);
        for (int node = 0; node < ids.length; node++) {
          rows[node] = row(logits, node);
        }
        for (int node = 0; node < ids.length; node++) {
          plain.truncate(length);
          for (int step : paths[node]) {
            plain.append(ids[step]);
          }
          assertThat(row(plain.logits(), 0)).as("node %d", node).isEqualTo(rows[node]);
          trees.readTree(ids, parents, ids.length);
          trees.keep(paths[node], paths[node].length);
          trees.append(7);
          plain.append(7);
          assertThat(row(trees.logits(), 0)).as("after %d", node).isEqualTo(row(plain.logits(), 0));
          trees.truncate(length);
        }
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"f16", "q8", "best"})
  void theTargetGoesOnFromItsFirstLayers(String kind) throws IOException {
    Random random = new Random(SEED);
    int[] prompt = tokens(random, 15);
    int[] ids = tokens(random, 6);
    for (int layers = 1; layers < file.config().layers(); layers++) {
      for (int advance = 0; advance <= ids.length; advance++) {
        try (TextCaches caches = caches(kind);
            Evaluator ahead = caches.newText();
            Evaluator plain = caches.newText()) {
          ahead.append(prompt, 0, prompt.length);
          plain.append(prompt, 0, prompt.length);
          for (int i = 0; i < advance; i++) {
            ahead.readAhead(ids[i], layers);
          }
          assertThat(ahead.position()).isEqualTo(prompt.length);
          MemorySegment logits = ahead.append(ids, ids.length);
          for (int i = 0; i < ids.length; i++) {
            plain.append(ids[i]);
            assertThat(row(logits, i)).as("%d layers", layers).isEqualTo(row(plain.logits(), 0));
          }
        }
      }
    }
  }

  /** A model of the first layers alone is the reference. */
  @Test
  void theFirstLayersPredictAsAModelOfThem(@TempDir Path folder) throws IOException {
    Path target = Catalog.resolve("gsm-mini");
    Files.copy(target.resolve("model.safetensors"), folder.resolve("model.safetensors"));
    String config = Files.readString(target.resolve("config.json"));
    String fewer = config.replaceFirst("\"num_hidden_layers\": *5", "\"num_hidden_layers\": 2");
    assertThat(fewer).isNotEqualTo(config);
    Files.writeString(folder.resolve("config.json"), fewer);
    int[] ids = tokens(new Random(SEED), 30);
    try (ModelFile small = ModelFile.open(folder);
        Arena memory = Arena.ofShared();
        TextCaches whole = caches("f16");
        Evaluator text = whole.newText()) {
      Weights first = Weights.load(small, CONTEXT, memory, pool);
      try (TextCaches caches = TextCaches.floats(first, CONTEXT, pool, DType.F16);
          Evaluator reference = caches.newText()) {
        text.append(ids, 0, 20);
        reference.append(ids, 0, 20);
        for (int i = 20; i < ids.length; i++) {
          reference.append(ids[i]);
          assertThat(row(text.readAhead(ids[i], 2), 0)).isEqualTo(row(reference.logits(), 0));
        }
        assertThatThrownBy(() -> text.readAhead(1, 3)).hasMessage("layers is 3, was 2 before");
        assertThatThrownBy(() -> text.readAhead(1, 5)).hasMessage("layers is 5, must be 1..4");
        assertThatThrownBy(() -> text.readAhead(1, 0)).hasMessage("layers is 0, must be 1..4");
      }
    }
  }

  @Test
  void treesOfAFullContextFitByTheirPaths() throws IOException {
    Random random = new Random(SEED);
    try (TextCaches caches = caches("f16");
        Evaluator text = caches.newText()) {
      text.append(tokens(random, CONTEXT - 2), 0, CONTEXT - 2);
      int[] ids = tokens(random, 5);
      text.readTree(ids, new int[] {0, 0, 0, 0, 0}, 5);
      assertThatThrownBy(() -> text.readTree(ids, new int[] {0, 0, 1, 0, 0}, 5))
          .hasMessageContaining("3 tokens do not fit the context of 160");
      assertThatThrownBy(() -> text.readTree(ids, new int[] {0, 0, 3, 0, 0}, 5))
          .hasMessageContaining("the parent of node 2 is 3, must be 0..1");
      text.readTree(ids, new int[] {0, 0, 0, 0, 0}, 5);
      text.keep(new int[] {0, 3}, 2);
      assertThat(text.position()).isEqualTo(CONTEXT);
      assertThat(text.token(CONTEXT - 1)).isEqualTo(ids[3]);
    }
  }
}
