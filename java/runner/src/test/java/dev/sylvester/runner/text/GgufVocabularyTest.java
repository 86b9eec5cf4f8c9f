package dev.sylvester.runner.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import com.fasterxml.jackson.databind.JsonNode;
import dev.sylvester.runner.format.ModelFormatException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class GgufVocabularyTest {
  private static final Path FILE = Path.of("model.gguf");

  private static GgufVocabulary vocabulary(
      String model, String pre, List<String> tokens, List<Integer> types, OptionalInt bos) {
    return new GgufVocabulary(
        FILE,
        model,
        Optional.ofNullable(pre),
        tokens,
        types.stream().mapToInt(t -> t).toArray(),
        new float[0],
        List.of(),
        bos,
        OptionalInt.empty(),
        OptionalInt.empty(),
        OptionalInt.empty(),
        OptionalInt.empty(),
        Optional.of(true),
        Optional.empty(),
        Optional.empty(),
        Optional.empty());
  }

  @ParameterizedTest
  @CsvSource({
    "gpt2, martian, pre-tokenizer 'martian'",
    "rwkv, , tokenizer model 'rwkv'",
    "llama, , bos_token_id' is missing",
    "gpt2, gpt-2, bos_token_id' is missing"
  })
  void refusesWhatItDoesNotKnow(String model, String pre, String message) {
    GgufVocabulary vocabulary =
        vocabulary(model, pre, List.of("a"), List.of(1), OptionalInt.empty());
    assertRefused(() -> Tokenizer.fromGguf(vocabulary), message);
  }

  @Test
  void refusesPiecesWithoutScores() {
    GgufVocabulary vocabulary =
        vocabulary("llama", null, List.of("a"), List.of(1), OptionalInt.of(0));
    assertRefused(() -> Tokenizer.fromGguf(vocabulary), "'tokenizer.ggml.scores' is missing");
  }

  @Test
  void refusesArraysThatDoNotFit() {
    assertRefused(
        () -> vocabulary("gpt2", null, List.of("a", "b"), List.of(1), OptionalInt.empty()),
        "'tokenizer.ggml.token_type' has 1 elements for 2 tokens");
    assertRefused(
        () -> vocabulary("gpt2", null, List.of("a"), List.of(7), OptionalInt.empty()),
        "'tokenizer.ggml.token_type' holds 7");
    assertRefused(
        () -> vocabulary("gpt2", null, List.of(), List.of(), OptionalInt.empty()),
        "'tokenizer.ggml.tokens' is missing or empty");
  }

  @Test
  void refusesMergesOfTokensThatAreNot() {
    GgufVocabulary good = TokenizerGolden.vocabulary("gpt2");
    GgufVocabulary broken =
        new GgufVocabulary(
            FILE,
            good.model(),
            good.pre(),
            good.tokens(),
            good.types(),
            good.scores(),
            List.of("nothing here"),
            good.bos(),
            good.eos(),
            good.eot(),
            good.eom(),
            good.unk(),
            good.addBos(),
            good.addEos(),
            good.addSpacePrefix(),
            good.chatTemplate());
    assertRefused(() -> Tokenizer.fromGguf(broken), "tokenizer refused");
  }

  @Test
  void endTokensOfTheTurnCountToo() {
    try (Tokenizer tokenizer =
        Tokenizer.fromGguf(
            vocabulary(
                "gpt2",
                "gpt-2",
                List.of("a", "<|eot_id|>", "<|endoftext|>", "<|eom_id|>"),
                List.of(1, 3, 3, 1),
                OptionalInt.of(2)))) {
      assertThat(tokenizer.eos()).containsExactlyInAnyOrder(1, 2);
      assertThat(tokenizer.bos()).hasValue(2);
      assertThat(tokenizer.encode("a", true)).containsExactly(2, 0);
      assertThat(tokenizer.isSpecial(2)).isTrue();
      assertThat(tokenizer.isSpecial(3)).isFalse();
    }
  }

  @Test
  void addedTokensAreSpelledAsText() {
    // Among the tokens of a byte-level vocabulary these letters would be single bytes.
    try (Tokenizer tokenizer =
        Tokenizer.fromGguf(
            vocabulary(
                "gpt2",
                "gpt-2",
                List.of("<|né|>", "<née>", "Ã©", "Ã", "©"),
                List.of(3, 4, 1, 1, 1),
                OptionalInt.of(0)))) {
      assertThat(tokenizer.encode("<|né|><née>", false)).containsExactly(0, 1);
      assertThat(tokenizer.decode(new int[] {0, 1, 2}, false)).isEqualTo("<|né|><née>é");
      assertThat(tokenizer.decode(new int[] {0, 1, 2}, true)).isEqualTo("<née>é");
    }
  }

  @Test
  void mergesOfPiecesAreThoseOfTransformers() {
    JsonNode expected = TokenizerGolden.read("spm.tokenizer").get("model").get("merges");
    List<String> merges =
        SentencePieceMerges.of(TokenizerGolden.vocabulary("spm")).stream()
            .map(merge -> merge.left() + " " + merge.right())
            .toList();
    List<String> want = new ArrayList<>();
    expected.forEach(pair -> want.add(pair.get(0).textValue() + " " + pair.get(1).textValue()));
    assertThat(merges).hasSizeGreaterThan(100).isEqualTo(want);
  }

  private static void assertRefused(Runnable action, String message) {
    assertThatExceptionOfType(ModelFormatException.class)
        .isThrownBy(action::run)
        .withMessageStartingWith("model.gguf: ")
        .withMessageContaining(message)
        .satisfies(e -> assertThat(e.getMessage().lines()).hasSize(1));
  }
}
