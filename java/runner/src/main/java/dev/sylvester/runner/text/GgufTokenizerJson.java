package dev.sylvester.runner.text;

import dev.sylvester.runner.format.ModelFormatException;
import java.util.List;
import java.util.OptionalInt;
import java.util.StringJoiner;

/**
 * Writes the tokenizer.json that a GGUF vocabulary amounts to.
 *
 * <p>Control and unknown tokens become special, user-defined tokens become added tokens: all of
 * them are found in any text before it is cut into words.
 */
final class GgufTokenizerJson {
  // Written by hand: a JSON library takes as long to warm up as everything else takes together.
  private final StringBuilder json = new StringBuilder(1 << 21);
  private final GgufVocabulary vocabulary;
  private final List<String> tokens;

  private GgufTokenizerJson(GgufVocabulary vocabulary) {
    this.vocabulary = vocabulary;
    this.tokens = vocabulary.tokens();
  }

  /**
   * @throws ModelFormatException if the vocabulary is of a kind unknown here
   */
  static String of(GgufVocabulary vocabulary) {
    GgufTokenizerJson writer = new GgufTokenizerJson(vocabulary);
    writer.write();
    return writer.json.toString();
  }

  private void write() {
    json.append("{\"version\":\"1.0\",\"added_tokens\":[");
    writeAddedTokens();
    json.append("]");
    switch (vocabulary.spelling()) {
      case BYTE_LEVEL -> writeByteLevel();
      case SENTENCE_PIECE -> writeSentencePiece();
    }
    json.append('}');
  }

  private void writeAddedTokens() {
    for (int id = 0; id < tokens.size(); id++) {
      if (vocabulary.isAdded(id)) {
        json.append("{\"id\":").append(id).append(",\"content\":");
        quote(tokens.get(id));
        json.append(
            ",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,\"normalized\":false");
        json.append(",\"special\":").append(vocabulary.isSpecial(id)).append("},");
      }
    }
    dropComma();
  }

  private void writeByteLevel() {
    PreTokenizer pre = vocabulary.preTokenizer();
    if (pre.composes()) {
      json.append(",\"normalizer\":{\"type\":\"NFC\"}");
    }
    json.append(",\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[");
    for (String expression : pre.expressions) {
      json.append("{\"type\":\"Split\",\"behavior\":\"Isolated\",\"invert\":false");
      json.append(",\"pattern\":{\"Regex\":");
      quote(expression);
      json.append("}},");
    }
    json.append("{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":false");
    json.append(",\"use_regex\":false}]}");
    writePostProcessor(pre.addsBos());

    json.append(",\"model\":{\"type\":\"BPE\",\"ignore_merges\":").append(pre.ignoresMerges());
    writeVocabulary();
    json.append(",\"merges\":[");
    for (String merge : vocabulary.merges()) {
      quote(merge);
      json.append(',');
    }
    dropComma();
    json.append("]}");
  }

  private void writeSentencePiece() {
    json.append(",\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[");
    if (vocabulary.addsSpacePrefix()) {
      json.append("{\"type\":\"Prepend\",\"prepend\":\"▁\"},");
    }
    json.append("{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"▁\"}]}");
    writePostProcessor(true);

    json.append(",\"model\":{\"type\":\"BPE\",\"byte_fallback\":true,\"fuse_unk\":true");
    if (vocabulary.unk().isPresent()) {
      json.append(",\"unk_token\":");
      quote(tokens.get(vocabulary.unk().getAsInt()));
    }
    writeVocabulary();
    json.append(",\"merges\":[");
    for (SentencePieceMerges.Merge merge : SentencePieceMerges.of(vocabulary)) {
      json.append('[');
      quote(merge.left());
      json.append(',');
      quote(merge.right());
      json.append("],");
    }
    dropComma();
    json.append("]}");
  }

  private void writeVocabulary() {
    json.append(",\"vocab\":{");
    for (int id = 0; id < tokens.size(); id++) {
      quote(tokens.get(id));
      json.append(':').append(id).append(',');
    }
    dropComma();
    json.append('}');
  }

  private void writePostProcessor(boolean addsBosOtherwise) {
    boolean bos = vocabulary.addBos().orElse(addsBosOtherwise && vocabulary.bos().isPresent());
    boolean eos = vocabulary.addEos().orElse(false);
    if (!bos && !eos) {
      return;
    }
    StringJoiner single = new StringJoiner(",");
    StringJoiner special = new StringJoiner(",");
    if (bos) {
      single.add("{\"SpecialToken\":{\"id\":\"bos\",\"type_id\":0}}");
      special.add(specialToken("bos", vocabulary.bos()));
    }
    single.add("{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}");
    if (eos) {
      single.add("{\"SpecialToken\":{\"id\":\"eos\",\"type_id\":0}}");
      special.add(specialToken("eos", vocabulary.eos()));
    }
    json.append(",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[");
    json.append(single).append("],\"pair\":[{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}");
    json.append(",{\"Sequence\":{\"id\":\"B\",\"type_id\":1}}],\"special_tokens\":{");
    json.append(special).append("}}");
  }

  private String specialToken(String name, OptionalInt id) {
    if (id.isEmpty()) {
      throw new ModelFormatException(
          vocabulary.file(),
          "key 'tokenizer.ggml." + name + "_token_id' is missing, but texts are to have one");
    }
    return "\"%s\":{\"id\":\"%s\",\"ids\":[%d],\"tokens\":[\"%s\"]}"
        .formatted(name, name, id.getAsInt(), name);
  }

  private void dropComma() {
    int last = json.length() - 1;
    if (json.charAt(last) == ',') {
      json.setLength(last);
    }
  }

  private void quote(String text) {
    json.append('"');
    int from = 0;
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      if (c < ' ' || c == '"' || c == '\\') {
        json.append(text, from, i);
        from = i + 1;
        if (c < ' ') {
          json.append(c < 16 ? "\\u000" : "\\u001").append(Character.forDigit(c & 15, 16));
        } else {
          json.append('\\').append(c);
        }
      }
    }
    json.append(text, from, text.length()).append('"');
  }
}
