package dev.sylvester.runner.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.sylvester.runner.format.ModelFormatException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Byte for byte what transformers renders: see tests/golden. */
class ChatTemplateTest {
  private static final Path FOLDER =
      Path.of(System.getProperty("sylvester.root"), "tests", "golden", "chat_templates");
  private static final Path FILE = Path.of("chat_template.jinja");
  private static final List<Message> MESSAGES = List.of(new Message("user", "hi"));

  record Case(
      String template, String name, List<Message> messages, boolean prompt, JsonNode expected) {
    @Override
    public String toString() {
      return template + ", " + name + (prompt ? ", with prompt" : "");
    }
  }

  static Stream<Case> cases() throws IOException {
    JsonNode json = new ObjectMapper().readTree(FOLDER.resolve("rendered.json").toFile());
    return StreamSupport.stream(json.get("cases").spliterator(), false)
        .map(
            expected -> {
              String name = expected.get("conversation").textValue();
              List<Message> messages = new ArrayList<>();
              for (JsonNode message : json.get("conversations").get(name)) {
                messages.add(
                    new Message(
                        message.get("role").textValue(), message.get("content").textValue()));
              }
              boolean prompt = expected.get("add_generation_prompt").booleanValue();
              return new Case(
                  expected.get("template").textValue(), name, messages, prompt, expected);
            });
  }

  @ParameterizedTest
  @MethodSource("cases")
  void rendersAsTransformersDoes(Case c) throws IOException {
    ChatTemplate template = template(Files.readString(FOLDER.resolve(c.template)));
    if (c.expected.has("text")) {
      assertThat(template.render(c.messages, c.prompt))
          .isEqualTo(c.expected.get("text").textValue());
    } else {
      assertThatIllegalArgumentException()
          .isThrownBy(() -> template.render(c.messages, c.prompt))
          .withMessageEndingWith(c.expected.get("error").textValue());
    }
  }

  private static ChatTemplate template(String source) {
    return new ChatTemplate(FILE, source, Map.of("bos_token", "<s>", "eos_token", "</s>"));
  }

  @Test
  void anErrorNamesTheLine() {
    ChatTemplate refusing =
        template("{{ bos_token }}\n\n{% if true %}\n{{ raise_exception('no\nnever') }}{% endif %}");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> refusing.render(MESSAGES, true))
        .withMessage("chat_template.jinja: chat template, line 4: no");
    assertThatExceptionOfType(ModelFormatException.class)
        .isThrownBy(() -> template("a\nb {% unless %}").render(MESSAGES, true))
        .withMessage("chat_template.jinja: chat template, line 2: unknown tag 'unless'");
  }

  @Test
  void today() {
    Clock clock = Clock.fixed(Instant.parse("2024-07-06T09:08:07Z"), ZoneOffset.UTC);
    assertThat(
            template("{{ strftime_now('%d %b %Y|%A %a %B %m %y %j %H:%M:%S %I %p %%') }}")
                .render(MESSAGES, true, clock))
        .isEqualTo("06 Jul 2024|Saturday Sat July 07 24 188 09:08:07 09 AM %");
  }
}
