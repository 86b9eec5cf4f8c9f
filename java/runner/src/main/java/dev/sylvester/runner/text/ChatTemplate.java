package dev.sylvester.runner.text;

import dev.sylvester.runner.format.ModelFormatException;
import dev.sylvester.runner.text.jinja.Template;
import dev.sylvester.runner.text.jinja.TemplateException;
import java.nio.file.Path;
import java.time.Clock;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A model's chat template, rendered as transformers renders it. A template sees the messages and
 * the names of special tokens, nothing else.
 *
 * <p>What users write goes into the text as it is. The names of special tokens in it become tokens
 * when the text is encoded, as with transformers.
 */
public final class ChatTemplate {
  private final Path file;
  private final String source;
  private final Map<String, String> specialTokens;
  private volatile Template template;

  /**
   * Keeps the source; it is parsed when it is first rendered.
   *
   * @param file where the template is from, for messages
   * @param source Jinja
   * @param specialTokens variables of the template such as {@code bos_token}
   */
  public ChatTemplate(Path file, String source, Map<String, String> specialTokens) {
    this.file = file;
    this.source = source;
    this.specialTokens = Map.copyOf(specialTokens);
  }

  /**
   * The text of a conversation, special tokens included: encode it without adding more.
   *
   * @param addGenerationPrompt whether to end with what begins the assistant's next turn
   * @throws ModelFormatException if the template is malformed
   * @throws IllegalArgumentException if it cannot render, or refuses, this conversation
   */
  public String render(List<Message> messages, boolean addGenerationPrompt) {
    return render(messages, addGenerationPrompt, Clock.systemDefaultZone());
  }

  String render(List<Message> messages, boolean addGenerationPrompt, Clock clock) {
    Map<String, Object> variables = new HashMap<>(specialTokens);
    variables.put("messages", values(messages));
    variables.put("add_generation_prompt", addGenerationPrompt);
    variables.put("tools", null);
    variables.put("documents", null);
    Template parsed = parsed();
    try {
      return parsed.render(variables, clock);
    } catch (TemplateException e) {
      throw new IllegalArgumentException(file + ": chat template, " + e.getMessage(), e);
    }
  }

  private Template parsed() {
    if (template == null) {
      try {
        template = Template.parse(source);
      } catch (TemplateException e) {
        throw new ModelFormatException(file, "chat template, " + e.getMessage(), e);
      }
    }
    return template;
  }

  private static List<Object> values(List<Message> messages) {
    List<Object> values = new ArrayList<>();
    for (Message message : messages) {
      Map<String, Object> value = new LinkedHashMap<>();
      value.put("role", message.role());
      value.put("content", message.content());
      values.add(value);
    }
    return values;
  }

  /** The Jinja source. */
  public String source() {
    return source;
  }
}
