package dev.sylvester.runner.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import dev.sylvester.runner.format.ModelFormatException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TokenizerFolderTest {
  private static final List<Message> MESSAGES = List.of(new Message("user", "hi"));

  @TempDir private Path folder;

  @BeforeEach
  void copyTokenizer() throws IOException {
    Files.copy(
        TokenizerGolden.FOLDER.resolve("smollm.tokenizer.json"), folder.resolve("tokenizer.json"));
  }

  private void write(String name, String text) throws IOException {
    Files.writeString(folder.resolve(name), text);
  }

  private Tokenizer tokenizer() {
    return Tokenizer.fromJson(folder.resolve("tokenizer.json"));
  }

  @Test
  void withoutConfigurationThereAreNoSpecialRoles() {
    try (Tokenizer tokenizer = tokenizer()) {
      assertThat(tokenizer.bos()).isEmpty();
      assertThat(tokenizer.eos()).isEmpty();
      assertThat(tokenizer.chatTemplate()).isEmpty();
    }
  }

  @Test
  void specialTokensAsTextOrAsObjects() throws IOException {
    write(
        "tokenizer_config.json",
        """
        {"bos_token": {"content": "<|begin|>", "special": true}, "eos_token": "<|im_end|>",
         "chat_template": "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}"}
        """);
    write("generation_config.json", "{\"eos_token_id\": [2, 5]}");
    try (Tokenizer tokenizer = tokenizer()) {
      assertThat(tokenizer.bos()).hasValue(0);
      assertThat(tokenizer.eos()).containsExactlyInAnyOrder(1, 2, 5);
      assertThat(tokenizer.chatTemplate().orElseThrow().render(MESSAGES, true))
          .isEqualTo("<|begin|>hi<|im_end|>");
    }
    write("generation_config.json", "{\"eos_token_id\": 7}");
    try (Tokenizer tokenizer = tokenizer()) {
      assertThat(tokenizer.eos()).containsExactlyInAnyOrder(1, 7);
    }
  }

  @Test
  void theTemplateCalledDefaultUnlessAFileHasOne() throws IOException {
    write(
        "tokenizer_config.json",
        """
        {"chat_template": [{"name": "tool_use", "template": "tools"},
                           {"name": "default", "template": "plain"}]}
        """);
    try (Tokenizer tokenizer = tokenizer()) {
      assertThat(tokenizer.chatTemplate().orElseThrow().source()).isEqualTo("plain");
    }
    write("chat_template.jinja", "from a file");
    try (Tokenizer tokenizer = tokenizer()) {
      assertThat(tokenizer.chatTemplate().orElseThrow().source()).isEqualTo("from a file");
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "{; tokenizer refused",
        "[]; tokenizer refused",
        "{\"model\":{\"type\":\"BPE\",\"vocab\":{},\"merges\":[]}}; a missing decoder is not supported",
        "{\"decoder\":{\"type\":\"CTC\",\"pad_token\":\"\",\"word_delimiter_token\":\"\",\"cleanup\":true},"
            + "\"model\":{\"type\":\"BPE\",\"vocab\":{},\"merges\":[]}}; decoder 'CTC' is not supported",
        "{\"decoder\":{\"type\":\"Fuse\"},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":4294967295},"
            + "\"merges\":[]}}; token 'a'"
      })
  void refusesATokenizerItCannotDecodeWith(String json, String message) throws IOException {
    write("tokenizer.json", json);
    assertRefused("tokenizer.json", message);
  }

  @Test
  void namesTheFileThatIsMalformed() throws IOException {
    write("tokenizer_config.json", "{\"bos_token\": ");
    assertRefused("tokenizer_config.json", "is not JSON");
    Files.delete(folder.resolve("tokenizer_config.json"));
    Files.write(folder.resolve("chat_template.jinja"), new byte[] {(byte) 0xFF});
    assertRefused("chat_template.jinja", "is not UTF-8");
    Files.delete(folder.resolve("chat_template.jinja"));
    Files.delete(folder.resolve("tokenizer.json"));
    assertRefused("tokenizer.json", "no such file");
  }

  private void assertRefused(String file, String message) {
    assertThatExceptionOfType(ModelFormatException.class)
        .isThrownBy(this::tokenizer)
        .withMessageStartingWith(folder.resolve(file) + ": ")
        .withMessageContaining(message)
        .satisfies(e -> assertThat(e.getMessage().lines()).hasSize(1));
  }
}
