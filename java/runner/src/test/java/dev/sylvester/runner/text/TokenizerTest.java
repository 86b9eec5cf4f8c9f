package dev.sylvester.runner.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Token by token against tokenizers, sentencepiece and llama.cpp: see tests/golden. */
class TokenizerTest {
  @ParameterizedTest
  @ValueSource(
      strings = {
        "gpt2",
        "smollm",
        "llama-bpe",
        "qwen2",
        "tekken",
        "default",
        "spm",
        "spm-noprefix"
      })
  void tokenizerMadeFromGguf(String name) {
    try (Tokenizer tokenizer = TokenizerGolden.fromGguf(name)) {
      assertExpected(name, tokenizer);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"gpt2", "smollm", "llama-bpe", "qwen2", "tekken", "spm"})
  void tokenizerOfTokenizerJson(String name) {
    try (Tokenizer tokenizer = TokenizerGolden.fromJson(name)) {
      assertExpected(name, tokenizer);
    }
  }

  private static void assertExpected(String name, Tokenizer tokenizer) {
    JsonNode expected = TokenizerGolden.read(name + ".expected");
    List<String> texts = TokenizerGolden.texts();
    assertThat(expected.get("texts")).hasSameSizeAs(texts);
    for (int i = 0; i < texts.size(); i++) {
      String text = texts.get(i);
      JsonNode want = expected.get("texts").get(i);
      int[] ids = tokenizer.encode(text, false);
      int[] special = tokenizer.encode(text, true);
      if (want.has("ids")) {
        assertThat(ids).as(text).isEqualTo(TokenizerGolden.ints(want.get("ids")));
        assertThat(special).as(text).isEqualTo(TokenizerGolden.ints(want.get("special_ids")));
      } else {
        assertThat(TokenizerGolden.sha256(ids)).isEqualTo(want.get("sha256").textValue());
        assertThat(TokenizerGolden.sha256(special))
            .isEqualTo(want.get("special_sha256").textValue());
      }
      if (want.hasNonNull("decoded")) {
        assertThat(tokenizer.decode(ids, false)).isEqualTo(want.get("decoded").textValue());
        assertThat(tokenizer.decode(special, true)).isEqualTo(want.get("decoded_text").textValue());
      }
    }
    for (JsonNode sequence : expected.path("random")) {
      int[] ids = TokenizerGolden.ints(sequence.get("ids"));
      assertThat(tokenizer.decode(ids, false)).isEqualTo(sequence.get("decoded").textValue());
      assertThat(tokenizer.decode(ids, true)).isEqualTo(sequence.get("decoded_text").textValue());
    }
  }

  @Test
  void embeddedModel() {
    Path folder = Path.of(System.getProperty("sylvester.root"), "models", "gsm-mini", "target");
    try (Tokenizer tokenizer = Tokenizer.fromJson(folder.resolve("tokenizer.json"))) {
      // Its post-processor adds <s> and <sep>.
      int[] ids = tokenizer.encode("Tom has 12 pens.", true);
      assertThat(ids[0]).isZero();
      assertThat(ids[ids.length - 1]).isEqualTo(4);
      assertThat(tokenizer.decode(ids, true)).isEqualTo("Tom has 12 pens.");
      assertThat(tokenizer.decode(ids, false)).isEqualTo("<s>Tom has 12 pens.<sep>");
      assertThat(tokenizer.bos()).hasValue(0);
      assertThat(tokenizer.eos()).containsExactly(1);
      assertThat(tokenizer.vocabSize()).isEqualTo(603);
    }
  }

  @Test
  void loneSurrogatesAreReplacedAndHarmNothingElse() {
    try (Tokenizer tokenizer = TokenizerGolden.fromGguf("smollm")) {
      int[] ids = tokenizer.encode("😀\ud800 é\udc00\u0000", false);
      assertThat(ids).isEqualTo(tokenizer.encode("😀\ufffd é\ufffd\u0000", false));
      assertThat(tokenizer.decode(ids, false)).isEqualTo("😀\ufffd é\ufffd\u0000");
    }
  }

  @Test
  void idsThatAreNoTokens() {
    try (Tokenizer tokenizer = TokenizerGolden.fromGguf("smollm")) {
      assertThat(tokenizer.decode(new int[] {tokenizer.vocabSize(), 1 << 30}, false)).isEmpty();
      assertThatIllegalArgumentException()
          .isThrownBy(() -> tokenizer.decode(new int[] {-1}, true))
          .withMessageContaining("-1");
    }
  }

  @Test
  void refusesATextTooLongForTheLibrary() {
    try (Tokenizer tokenizer = TokenizerGolden.fromGguf("llama-bpe")) {
      String blanks = " ".repeat(Tokenizer.MOST_CHARACTERS + 1);
      assertThatIllegalArgumentException()
          .isThrownBy(() -> tokenizer.encode(blanks, false))
          .withMessageContaining("4,194,305 characters");
    }
  }

  @Test
  void threadsShareATokenizerUntilItIsClosed() throws Exception {
    List<String> texts = TokenizerGolden.texts();
    Tokenizer tokenizer = TokenizerGolden.fromGguf("llama-bpe");
    List<int[]> expected = texts.stream().map(text -> tokenizer.encode(text, true)).toList();
    try (ExecutorService threads = Executors.newFixedThreadPool(4)) {
      Callable<Void> encodeAll =
          () -> {
            for (int i = 0; i < texts.size(); i++) {
              assertThat(tokenizer.encode(texts.get(i), true)).isEqualTo(expected.get(i));
            }
            return null;
          };
      List<Callable<Void>> tasks = IntStream.range(0, 8).mapToObj(i -> encodeAll).toList();
      for (Future<Void> done : threads.invokeAll(tasks)) {
        done.get();
      }
    }
    tokenizer.close();
    tokenizer.close();
    assertThatIllegalStateException().isThrownBy(() -> tokenizer.encode("a", false));
  }
}
