package dev.sylvester.tests;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.sylvester.runner.format.GgufFile;
import dev.sylvester.runner.format.ModelFile;
import dev.sylvester.runner.hub.Catalog;
import dev.sylvester.runner.text.GgufVocabulary;
import dev.sylvester.runner.text.Message;
import dev.sylvester.runner.text.Tokenizer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** A real vocabulary of 49,152 tokens against llama.cpp, its chat template against transformers. */
class SmolLm2TokenizerTest {
  private static Tokenizer tokenizer;

  @BeforeAll
  static void open() {
    Path path = Catalog.resolve("smollm2");
    try (ModelFile file = ModelFile.open(path)) {
      tokenizer = Tokenizer.fromGguf(GgufVocabulary.of(path, ((GgufFile) file).metadata()));
    }
  }

  @AfterAll
  static void close() {
    tokenizer.close();
  }

  @Test
  void tokensAreThoseOfLlamaCpp() throws IOException {
    JsonNode texts = golden("tokenizers/texts.json").get("texts");
    JsonNode expected = golden("tokenizers/smollm2.expected.json").get("texts");
    // The last of the expected is about the long text.
    assertThat(expected).hasSize(texts.size() + 1);
    for (int i = 0; i < texts.size(); i++) {
      String text = texts.get(i).textValue();
      int[] ids = ints(expected.get(i).get("ids"));
      assertThat(tokenizer.encode(text, false)).as(text).isEqualTo(ids);
      assertThat(tokenizer.encode(text, true))
          .as(text)
          .isEqualTo(ints(expected.get(i).get("special_ids")));
      assertThat(tokenizer.decode(ids, false)).isEqualTo(text);
    }
  }

  @Test
  void conversationsAreThoseOfTransformers() throws IOException {
    int conversations = 0;
    for (JsonNode item : golden("smollm2.json").get("greedy")) {
      if (item.has("messages")) {
        List<Message> messages = new ArrayList<>();
        for (JsonNode message : item.get("messages")) {
          messages.add(
              new Message(message.get("role").textValue(), message.get("content").textValue()));
        }
        String text = tokenizer.chatTemplate().orElseThrow().render(messages, true);
        assertThat(text).isEqualTo(item.get("prompt").textValue());
        assertThat(tokenizer.encode(text, false)).isEqualTo(ints(item.get("prompt_tokens")));
        conversations++;
      }
    }
    assertThat(conversations).isEqualTo(2);
  }

  private static JsonNode golden(String name) throws IOException {
    return new ObjectMapper().readTree(Project.path("tests/golden/" + name).toFile());
  }

  private static int[] ints(JsonNode array) {
    return IntStream.range(0, array.size()).map(i -> array.get(i).intValue()).toArray();
  }
}
