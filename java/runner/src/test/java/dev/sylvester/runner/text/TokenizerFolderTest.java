package dev.sylvester.runner.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
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

  /** What the native library would end the process over must not reach it. */
  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      quoteCharacter = '`',
      value = {
        "normalizer; {'type': 'Precompiled', 'precompiled_charsmap': 'AAAA'}; normalizer",
        "normalizer; {'type': 'Replace', 'pattern': {'Regex': ''}, 'content': 'x'}; normalizer",
        "normalizer; {'type': 'Sequence', 'normalizers': [{'type': 'Nmt'}]}; normalizer",
        "pre_tokenizer; {'type': 'Split', 'pattern': {'Regex': '(a+)+b'}}; pre-tokenizer",
        "pre_tokenizer; {'type': 'Sequence', 'pretokenizers': [{}]}; pre-tokenizer",
        "post_processor; {'type': 'TemplateProcessing', 'special_tokens': {},"
            + " 'single': [{'SpecialToken': {'id': 'x'}}]}; post-processor",
        "post_processor; {'type': 'TemplateProcessing', 'single': [{'Sequence': {'id': 'B'}}]};"
            + " post-processor",
        "model; {'type': 'Unigram', 'vocab': [['a', 0]]}; model",
        "model; {'type': 'WordPiece', 'vocab': {}}; model",
        "model; {'type': 'BPE', 'vocab': {}, 'continuing_subword_prefix': '##'}; model",
        "model; {'type': 'BPE', 'vocab': {}, 'end_of_word_suffix': '##'}; model",
        "model; {'type': 'BPE', 'vocab': {}, 'dropout': 0.5}; model",
        "model; {'type': 'BPE', 'vocab': {'a': 0}, 'unk_token': 'b'}; unk_token 'b'",
        "model; {'type': 'BPE', 'vocab': {'a': 4294967295}}; token 'a' has id 4294967295",
        "model; {'type': 'BPE', 'vocab': {'a': -1}}; token 'a' has id -1",
        "model; {'type': 'BPE', 'vocab': {'a': 0}, 'merges': ['a']}; tokenizer refused",
        "decoder; {'type': 'CTC'}; decoder 'CTC'",
        "decoder; null; decoder ''",
        "decoder; {'type': 'Metaspace', 'replacement': '_'}; replacement '_'",
        "version; [; is not the JSON of a tokenizer at line 1",
      })
  void refusesPartsItDoesNotKnow(String part, String json, String message) throws IOException {
    ObjectMapper mapper = new ObjectMapper();
    ObjectNode tokenizer = (ObjectNode) mapper.readTree(folder.resolve("tokenizer.json").toFile());
    tokenizer.set(part, null);
    write(
        "tokenizer.json",
        tokenizer
            .toString()
            .replace("\"" + part + "\":null", "\"" + part + "\":" + json.replace('\'', '"')));
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
