package dev.sylvester.runner;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.sylvester.runner.format.ModelFormatException;
import dev.sylvester.runner.format.SafetensorsFile;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Sessions that change adapters against models that were opened with these. */
class AdapterBankTest {
  private static final String DRAFT = "gsm-mini-draft";
  private static final int[] TOKENS = {5, 80, 33, 120, 7, 61, 200, 14};
  private static final int[] NEXT = {9, 31, 77};
  private static final int HIDDEN = 96;
  private static final int HEADS = 128;
  private static final int INNER = 256;
  private static final int RANK = 2;

  @TempDir private Path folder;

  private final Arena arena = Arena.ofShared();
  private Path first;
  private Path second;
  private Path dora;

  @BeforeEach
  void write() throws IOException {
    first = lora("first", 1, false);
    second = lora("second", 2, false);
    dora = lora("dora", 3, true);
  }

  @AfterEach
  void free() {
    arena.close();
  }

  private SafetensorsFile.Floats random(Random random, long... shape) {
    return PeftFiles.normal(arena, random, 0, 0.3, shape);
  }

  private Path lora(String name, long seed, boolean magnitude) throws IOException {
    Random random = new Random(seed);
    Map<String, SafetensorsFile.Floats> tensors = new LinkedHashMap<>();
    String layer = "base_model.model.model.layers.0.";
    lora(tensors, layer + "self_attn.o_proj", HIDDEN, HEADS, random, magnitude);
    lora(tensors, layer + "mlp.up_proj", INNER, HIDDEN, random, magnitude);
    lora(tensors, layer + "mlp.down_proj", HIDDEN, INNER, random, magnitude);
    return PeftFiles.write(
        folder.resolve(name),
        "{\"peft_type\": \"LORA\", \"r\": 2, \"lora_alpha\": 2, \"use_dora\": %s}"
            .formatted(magnitude),
        tensors);
  }

  private void lora(
      Map<String, SafetensorsFile.Floats> tensors,
      String name,
      long out,
      long in,
      Random random,
      boolean magnitude) {
    tensors.put(name + ".lora_A.weight", random(random, RANK, in));
    tensors.put(name + ".lora_B.weight", random(random, out, RANK));
    if (magnitude) {
      tensors.put(name + ".lora_magnitude_vector", random(random, out));
    }
  }

  private static ModelOptions options() {
    return ModelOptions.defaults().withThreads(2);
  }

  private static float[][] logits(List<Adapter> adapters) {
    try (Model model = Model.load(DRAFT, options().withAdapters(adapters));
        Session session = model.newSession()) {
      return Rows.all(session, TOKENS);
    }
  }

  private static float[][] logits(Session session, AdapterMix mix) {
    session.adapt(mix);
    return Rows.all(session, TOKENS);
  }

  /** And those that are held, but not used, change no bit. */
  @Test
  void sessionsChangeAdapters() throws IOException {
    List<Adapter> one = List.of(new Adapter(first, 1));
    List<Adapter> difference = List.of(new Adapter(first, 0.7f), new Adapter(dora, -0.3f));
    try (Model model = Model.load(DRAFT, options());
        Session session = model.newSession()) {
      AdapterBank bank = new AdapterBank(model, 1 << 20);
      float[][] base = Rows.all(session, TOKENS);
      for (int i = 0; i < 5; i++) {
        bank.mix(List.of(new Adapter(lora("more" + i, 10 + i, i == 4), 1)));
      }
      assertThat(bank.adapters()).hasSize(5);
      session.reset();
      assertThat(Rows.all(session, TOKENS)).isDeepEqualTo(base);
      assertThat(logits(session, bank.mix(one))).isDeepEqualTo(logits(one));
      assertThat(session.adapters()).isEqualTo(one);
      assertThat(session.position()).isEqualTo(TOKENS.length);
      assertThat(logits(session, bank.mix(difference))).isDeepEqualTo(logits(difference));
      assertThat(logits(session, AdapterMix.NONE)).isDeepEqualTo(base);
      assertThat(Golden.error(logits(one), base)).isGreaterThan(1e-2);
      assertThat(Golden.error(logits(difference), base)).isGreaterThan(1e-2);
      session.adapt(bank.mix(one));
      session.append(TOKENS);
      try (Session fork = session.fork()) {
        fork.append(NEXT[0]);
        session.append(NEXT[0]);
        assertThat(last(fork)).isEqualTo(last(session));
        assertThat(fork.adapters()).isEqualTo(one);
      }
    }
  }

  private static float[] last(Session session) {
    return session.logits().toArray(JAVA_FLOAT);
  }

  @Test
  void aPassReadsTextsWithDifferentAdapters() {
    for (CacheOptions cache : List.of(CacheOptions.F16, CacheOptions.of("q8"))) {
      try (Model model = Model.load(DRAFT, options().withCache(cache))) {
        AdapterBank bank = new AdapterBank(model, 1 << 20);
        List<AdapterMix> mixes =
            List.of(
                bank.mix(List.of(new Adapter(first, 1))),
                AdapterMix.NONE,
                bank.mix(List.of(new Adapter(second, 0.5f), new Adapter(first, -0.5f))),
                bank.mix(List.of(new Adapter(dora, 1), new Adapter(second, 1))),
                bank.mix(List.of(new Adapter(first, 1))));
        List<Session> alone = sessions(model, mixes);
        List<Session> together = sessions(model, mixes);
        for (int token : NEXT) {
          int[] tokens = {token, token + 1, token + 2, token, token + 3};
          model.appendEach(together, tokens);
          for (int i = 0; i < tokens.length; i++) {
            alone.get(i).append(tokens[i]);
            assertThat(last(together.get(i))).as("text %d", i).isEqualTo(last(alone.get(i)));
            assertThat(together.get(i).hidden().asSlice(0, 4 * HIDDEN).toArray(JAVA_FLOAT))
                .isEqualTo(alone.get(i).hidden().asSlice(0, 4 * HIDDEN).toArray(JAVA_FLOAT));
            assertThat(together.get(i).tokens()).isEqualTo(alone.get(i).tokens());
          }
        }
        together.get(2).append(3);
        alone.get(2).append(3);
        assertThat(last(together.get(2))).isEqualTo(last(alone.get(2)));
      }
    }
  }

  /** Texts of different lengths. */
  private static List<Session> sessions(Model model, List<AdapterMix> mixes) {
    List<Session> sessions = new ArrayList<>();
    for (int i = 0; i < mixes.size(); i++) {
      Session session = model.newSession();
      session.adapt(mixes.get(i));
      session.append(Arrays.copyOf(TOKENS, TOKENS.length - i));
      sessions.add(session);
    }
    return sessions;
  }

  @Test
  void textsThatDoNotGoTogetherAreRefused() {
    try (Model model = Model.load(DRAFT, options());
        Model other = Model.load(DRAFT, options());
        Session one = model.newSession();
        Session two = model.newSession();
        Session packed = model.newSession(CacheOptions.of("q8"));
        Session strange = other.newSession()) {
      one.append(TOKENS);
      packed.append(TOKENS);
      strange.append(TOKENS);
      assertRefused(model, List.of(one, two), "a session is empty");
      assertRefused(model, List.of(one, one), "2 tokens for 2 sessions, of which 1 differ");
      assertRefused(model, List.of(one), "2 tokens for 1 sessions");
      assertRefused(model, List.of(one, packed), "of different models or caches");
      assertRefused(model, List.of(one, strange), "of different models or caches");
      AdapterMix mix = new AdapterBank(other, 1 << 20).mix(List.of(new Adapter(first, 1)));
      assertThatThrownBy(() -> one.adapt(mix))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("the adapters are of a bank of");
      assertThat(one.position()).isEqualTo(TOKENS.length);
    }
  }

  private static void assertRefused(Model model, List<Session> sessions, String problem) {
    assertThatThrownBy(() -> model.appendEach(sessions, new int[] {1, 2}))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(problem);
  }

  @Test
  void theBankHoldsSoManyBytes() throws IOException {
    try (Model model = Model.load(DRAFT, options());
        Session session = model.newSession()) {
      AdapterBank bank = new AdapterBank(model, 1 << 20);
      AdapterMix old = bank.mix(List.of(new Adapter(first, 1)));
      long bytes = bank.bytes();
      AdapterBank small = new AdapterBank(model, 2 * bytes + 1);
      small.mix(List.of(new Adapter(first, 1)));
      small.mix(List.of(new Adapter(second, 1)));
      small.mix(List.of(new Adapter(first, 0.5f)));
      small.mix(List.of(new Adapter(dora, 1)));
      assertThat(small.adapters()).containsExactlyInAnyOrder(first, dora);
      assertThat(small.bytes()).isEqualTo(2 * bytes);
      small.drop(dora);
      assertThat(small.bytes()).isEqualTo(bytes);
      assertThatThrownBy(() -> new AdapterBank(model, 10).mix(List.of(new Adapter(first, 1))))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("adapter " + first + " takes");
      assertThatThrownBy(() -> new AdapterBank(model, 0))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("mostBytes is 0");

      float[][] before = logits(session, old);
      float[][] fresh = logits(List.of(new Adapter(second, 1)));
      Path weights = first.resolve("adapter_model.safetensors");
      Files.copy(
          second.resolve("adapter_model.safetensors"),
          weights,
          StandardCopyOption.REPLACE_EXISTING);
      // What is used stays; the bank has the old one until it is told.
      assertThat(logits(session, old)).isDeepEqualTo(before);
      assertThat(logits(session, bank.mix(List.of(new Adapter(first, 1))))).isDeepEqualTo(before);
      bank.reload(first);
      assertThat(logits(session, old)).isDeepEqualTo(before);
      assertThat(logits(session, bank.mix(List.of(new Adapter(first, 1))))).isDeepEqualTo(fresh);
      Files.writeString(weights, "no tensors");
      assertThatThrownBy(() -> bank.reload(first)).isInstanceOf(ModelFormatException.class);
      assertThat(bank.bytes()).isEqualTo(bytes);
      assertThat(logits(session, bank.mix(List.of(new Adapter(first, 1))))).isDeepEqualTo(fresh);
    }
  }
}
