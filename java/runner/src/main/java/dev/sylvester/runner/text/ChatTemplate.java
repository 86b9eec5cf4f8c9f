package dev.sylvester.runner.text;

import java.nio.file.Path;
import java.util.List;

/**
 * A model's chat template.
 *
 * <p>What users write goes into the text as it is. The names of special tokens in it become tokens
 * when the text is encoded, as with transformers.
 */
public final class ChatTemplate {
  private final Path file;
  private final String source;
  private final String bos;
  private final String eos;

  /**
   * @param file where the template is from, for messages
   * @param source Jinja
   * @param bos what the template's {@code bos_token} is
   * @param eos what the template's {@code eos_token} is
   */
  public ChatTemplate(Path file, String source, String bos, String eos) {
    this.file = file;
    this.source = source;
    this.bos = bos;
    this.eos = eos;
  }

  /**
   * The text of a conversation, special tokens included: encode it without adding more.
   *
   * @param addGenerationPrompt whether to end with what begins the assistant's next turn
   */
  public String render(List<Message> messages, boolean addGenerationPrompt) {
    throw new UnsupportedOperationException("soon " + file + source + bos + eos);
  }

  /** The Jinja source. */
  public String source() {
    return source;
  }
}
