package dev.sylvester.runner.text;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import dev.sylvester.runner.format.ModelFormatException;
import java.io.IOException;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.util.OptionalInt;

/**
 * Writes the tokenizer.json that a GGUF vocabulary amounts to.
 *
 * <p>Control and unknown tokens become special, user-defined tokens become added tokens: all of
 * them are found in any text before it is cut into words.
 */
final class GgufTokenizerJson {
  private static final String BYTE_LEVEL =
      """
      {"type":"ByteLevel","add_prefix_space":false,"trim_offsets":false,"use_regex":false}""";
  private static final String PREPEND_SPACE =
      """
      {"type":"Prepend","prepend":"▁"}""";
  private static final String REPLACE_SPACES =
      """
      {"type":"Replace","pattern":{"String":" "},"content":"▁"}""";

  private final GgufVocabulary vocabulary;
  private final JsonGenerator json;

  private GgufTokenizerJson(GgufVocabulary vocabulary, JsonGenerator json) {
    this.vocabulary = vocabulary;
    this.json = json;
  }

  /**
   * @throws ModelFormatException if the vocabulary is of a kind unknown here
   */
  static String of(GgufVocabulary vocabulary) {
    StringWriter text = new StringWriter(1 << 20);
    try (JsonGenerator json = new JsonFactory().createGenerator(text)) {
      new GgufTokenizerJson(vocabulary, json).write();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return text.toString();
  }

  private void write() throws IOException {
    json.writeStartObject();
    json.writeStringField("version", "1.0");
    writeAddedTokens();
    switch (vocabulary.spelling()) {
      case BYTE_LEVEL -> writeByteLevel();
      case SENTENCE_PIECE -> writeSentencePiece();
    }
    json.writeEndObject();
  }

  private void writeAddedTokens() throws IOException {
    json.writeArrayFieldStart("added_tokens");
    for (int id = 0; id < vocabulary.tokens().size(); id++) {
      if (vocabulary.isAdded(id)) {
        json.writeStartObject();
        json.writeNumberField("id", id);
        json.writeStringField("content", vocabulary.tokens().get(id));
        json.writeBooleanField("single_word", false);
        json.writeBooleanField("lstrip", false);
        json.writeBooleanField("rstrip", false);
        json.writeBooleanField("normalized", false);
        json.writeBooleanField("special", vocabulary.isSpecial(id));
        json.writeEndObject();
      }
    }
    json.writeEndArray();
  }

  private void writeByteLevel() throws IOException {
    PreTokenizer pre = vocabulary.preTokenizer();
    if (pre.composes()) {
      writeRaw("normalizer", "{\"type\":\"NFC\"}");
    }
    json.writeObjectFieldStart("pre_tokenizer");
    json.writeStringField("type", "Sequence");
    json.writeArrayFieldStart("pretokenizers");
    for (String expression : pre.expressions) {
      json.writeStartObject();
      json.writeStringField("type", "Split");
      json.writeObjectFieldStart("pattern");
      json.writeStringField("Regex", expression);
      json.writeEndObject();
      json.writeStringField("behavior", "Isolated");
      json.writeBooleanField("invert", false);
      json.writeEndObject();
    }
    json.writeRawValue(BYTE_LEVEL);
    json.writeEndArray();
    json.writeEndObject();
    writePostProcessor(pre.addsBos());

    json.writeObjectFieldStart("model");
    json.writeStringField("type", "BPE");
    json.writeBooleanField("ignore_merges", pre.ignoresMerges());
    writeVocabulary();
    json.writeArrayFieldStart("merges");
    for (String merge : vocabulary.merges()) {
      json.writeString(merge);
    }
    json.writeEndArray();
    json.writeEndObject();
  }

  private void writeSentencePiece() throws IOException {
    boolean prepend = vocabulary.addSpacePrefix().orElse(true);
    writeRaw(
        "normalizer",
        "{\"type\":\"Sequence\",\"normalizers\":["
            + (prepend ? PREPEND_SPACE + "," : "")
            + REPLACE_SPACES
            + "]}");
    writePostProcessor(true);

    json.writeObjectFieldStart("model");
    json.writeStringField("type", "BPE");
    if (vocabulary.unk().isPresent()) {
      json.writeStringField("unk_token", vocabulary.tokens().get(vocabulary.unk().getAsInt()));
    }
    json.writeBooleanField("fuse_unk", true);
    json.writeBooleanField("byte_fallback", true);
    writeVocabulary();
    json.writeArrayFieldStart("merges");
    for (SentencePieceMerges.Merge merge : SentencePieceMerges.of(vocabulary)) {
      json.writeStartArray();
      json.writeString(merge.left());
      json.writeString(merge.right());
      json.writeEndArray();
    }
    json.writeEndArray();
    json.writeEndObject();
  }

  private void writeVocabulary() throws IOException {
    json.writeObjectFieldStart("vocab");
    for (int id = 0; id < vocabulary.tokens().size(); id++) {
      json.writeNumberField(vocabulary.tokens().get(id), id);
    }
    json.writeEndObject();
  }

  private void writePostProcessor(boolean addsBos) throws IOException {
    boolean bos = vocabulary.addBos().orElse(addsBos && vocabulary.bos().isPresent());
    boolean eos = vocabulary.addEos().orElse(false);
    if (!bos && !eos) {
      return;
    }
    json.writeObjectFieldStart("post_processor");
    json.writeStringField("type", "TemplateProcessing");
    json.writeArrayFieldStart("single");
    if (bos) {
      writeRawSpecial("bos");
    }
    json.writeRawValue("{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}");
    if (eos) {
      writeRawSpecial("eos");
    }
    json.writeEndArray();
    json.writeArrayFieldStart("pair");
    json.writeRawValue("{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}");
    json.writeRawValue("{\"Sequence\":{\"id\":\"B\",\"type_id\":1}}");
    json.writeEndArray();
    json.writeObjectFieldStart("special_tokens");
    if (bos) {
      writeSpecialIds("bos", vocabulary.bos());
    }
    if (eos) {
      writeSpecialIds("eos", vocabulary.eos());
    }
    json.writeEndObject();
    json.writeEndObject();
  }

  private void writeRawSpecial(String name) throws IOException {
    json.writeRawValue("{\"SpecialToken\":{\"id\":\"" + name + "\",\"type_id\":0}}");
  }

  private void writeSpecialIds(String name, OptionalInt id) throws IOException {
    int token =
        id.orElseThrow(
            () ->
                new ModelFormatException(
                    vocabulary.file(),
                    "key 'tokenizer.ggml." + name + "_token_id' is missing, but add_" + name + "_token is true"));
    writeRaw(name, "{\"id\":\"" + name + "\",\"ids\":[" + token + "],\"tokens\":[\"" + name + "\"]}");
  }

  private void writeRaw(String field, String value) throws IOException {
    json.writeFieldName(field);
    json.writeRawValue(value);
  }
}
