package dev.sylvester.runner;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.sylvester.runner.text.Message;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SavedSessionTest {
  private static final int SEED = 4711;
  private static final CacheOptions CACHE = CacheOptions.of("quarot").withBits(4);

  private static Model model;

  @TempDir private Path folder;

  @BeforeAll
  static void open() {
    model = Model.load("gsm-mini", ModelOptions.defaults().withThreads(2));
  }

  @AfterAll
  static void close() {
    model.close();
  }

  private static int[] tokens(int count) {
    return new Random(SEED).ints(count, 0, model.config().vocabSize()).toArray();
  }

  private Path saved(int[] tokens, List<Message> messages) throws IOException {
    Path file = folder.resolve("saved");
    try (Session session = model.newSession(CACHE)) {
      session.append(tokens);
      session.save(file, messages);
    }
    return file;
  }

  @Test
  void goesOnAsIfItHadNeverEnded() throws IOException {
    int[] tokens = tokens(150);
    List<Message> messages = List.of(new Message("user", "a \"b\"\n\u00e9"));
    Path file = saved(Arrays.copyOf(tokens, 100), messages);
    try (Session reference = model.newSession(CACHE);
        SavedSession saved = SavedSession.open(file);
        Session session = saved.resume(model)) {
      assertThat(saved.cache()).isEqualTo(CACHE);
      assertThat(saved.messages()).isEqualTo(messages);
      assertThat(session.tokens()).isEqualTo(Arrays.copyOf(tokens, 100));
      reference.append(tokens);
      GenerationRequest request = GenerationRequest.of(model, tokens, 1);
      assertThat(session.generate(request).cachedTokens()).isEqualTo(100);
      assertThat(Rows.of(session.logits())).isEqualTo(Rows.of(reference.logits()));
      assertThat(folder).isDirectoryNotContaining("glob:**.tmp");
    }
  }

  @Test
  void anotherModelIsRefused() throws IOException {
    Path file = saved(tokens(20), List.of());
    try (Model draft = Model.load("gsm-mini-draft", ModelOptions.defaults());
        SavedSession saved = SavedSession.open(file)) {
      assertThatThrownBy(() -> saved.resume(draft)).hasMessageContaining("is of another model");
    }
  }

  @Test
  void everyFlippedByteIsFound() throws IOException {
    Path file = saved(tokens(20), List.of());
    byte[] good = Files.readAllBytes(file);
    Random random = new Random(SEED);
    for (int i = 0; i < 300; i++) {
      byte[] bad = good.clone();
      int at = i < 20 ? i : random.nextInt(good.length);
      bad[at] ^= (byte) (1 << random.nextInt(8));
      Files.write(file, bad);
      boolean padding = resumesAsBefore(file);
      // Only what fills the header up to 64 bytes says nothing.
      assertThat(padding && good[at] != 0).as("byte %d", at).isFalse();
    }
    for (int length = 0; length < good.length; length += 97) {
      Files.write(file, Arrays.copyOf(good, length));
      assertThat(resumesAsBefore(file)).as("%d bytes", length).isFalse();
    }
  }

  private static boolean resumesAsBefore(Path file) {
    try (SavedSession saved = SavedSession.open(file);
        Session session = saved.resume(model)) {
      assertThat(session.tokens()).isEqualTo(tokens(20));
      return true;
    } catch (IOException e) {
      assertThat(e).hasMessageContaining(file.toString());
      return false;
    }
  }

  @Test
  void floatsAreNotSaved() {
    try (Session session = model.newSession()) {
      assertThatThrownBy(() -> session.save(folder.resolve("x"), List.of()))
          .hasMessageContaining("f16 in its cache is not saved");
    }
  }
}
