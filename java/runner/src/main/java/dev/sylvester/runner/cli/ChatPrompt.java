package dev.sylvester.runner.cli;

import dev.sylvester.runner.Model;
import dev.sylvester.runner.text.ChatTemplate;
import dev.sylvester.runner.text.Message;
import java.util.List;

/** A conversation as the model's own chat template writes it. */
final class ChatPrompt {
  private ChatPrompt() {}

  static int[] tokens(Model model, List<Message> messages) {
    ChatTemplate template =
        model
            .tokenizer()
            .chatTemplate()
            .orElseThrow(
                () -> new IllegalArgumentException(model.path() + " has no chat template"));
    return model.tokenizer().encode(template.render(messages, true), false);
  }
}
