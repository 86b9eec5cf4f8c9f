package dev.sylvester.runner.text;

import com.fasterxml.jackson.databind.JsonNode;
import dev.sylvester.runner.format.ModelFormatException;
import java.nio.file.Path;

/**
 * Refuses the parts of a tokenizer.json that are not known here. The native library answers some
 * malformed ones, and expressions that backtrack too much, by ending the process; so what is not
 * known to be good does not reach it.
 */
final class TokenizerPipeline {
  private final Path file;

  TokenizerPipeline(Path file) {
    this.file = file;
  }

  void checkNormalizer(JsonNode normalizer) {
    switch (type(normalizer)) {
      case "", "NFC", "NFD", "NFKC", "NFKD", "Prepend" -> {}
      case "Replace" -> require(isText(normalizer.path("pattern")), "normalizer", normalizer);
      case "Sequence" -> normalizer.path("normalizers").forEach(this::checkNormalizer);
      default -> throw unsupported("normalizer", normalizer);
    }
  }

  void checkPreTokenizer(JsonNode preTokenizer) {
    switch (type(preTokenizer)) {
      case "", "ByteLevel", "Digits", "Metaspace" -> {}
      case "Split" -> {
        JsonNode pattern = preTokenizer.path("pattern");
        boolean known =
            isText(pattern) || PreTokenizer.isKnownExpression(pattern.path("Regex").asText());
        require(known, "pre-tokenizer", preTokenizer);
      }
      case "Sequence" -> preTokenizer.path("pretokenizers").forEach(this::checkPreTokenizer);
      default -> throw unsupported("pre-tokenizer", preTokenizer);
    }
  }

  void checkPostProcessor(JsonNode processor) {
    switch (type(processor)) {
      case "", "ByteLevel" -> {}
      case "TemplateProcessing" -> {
        JsonNode special = processor.path("special_tokens");
        for (JsonNode piece : processor.path("single")) {
          String token = piece.path("SpecialToken").path("id").asText();
          boolean known =
              piece.has("SpecialToken")
                  ? special.has(token)
                  : piece.path("Sequence").path("id").asText().equals("A");
          require(known, "post-processor", processor);
        }
      }
      case "Sequence" -> processor.path("processors").forEach(this::checkPostProcessor);
      default -> throw unsupported("post-processor", processor);
    }
  }

  /**
   * @param model everything of it but vocabulary and merges
   */
  void checkModel(JsonNode model) {
    boolean plain =
        type(model).equals("BPE")
            && model.path("dropout").asDouble(0) == 0
            && model.path("continuing_subword_prefix").asText("").isEmpty()
            && model.path("end_of_word_suffix").asText("").isEmpty();
    require(plain, "model", model);
  }

  private static String type(JsonNode node) {
    return node.isNull() ? "" : node.path("type").asText("missing");
  }

  private static boolean isText(JsonNode pattern) {
    return !pattern.path("String").asText("").isEmpty();
  }

  private void require(boolean known, String what, JsonNode node) {
    if (!known) {
      throw unsupported(what, node);
    }
  }

  private ModelFormatException unsupported(String what, JsonNode node) {
    return new ModelFormatException(
        file, what + " " + ModelFormatException.quote(node.toString()) + " is not supported");
  }
}
