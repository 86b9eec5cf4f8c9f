package dev.sylvester.runner.text;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.MissingNode;
import dev.sylvester.runner.format.ModelFormatException;
import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.TreeSet;

/** A tokenizer.json and the files that transformers writes beside it. */
final class TokenizerFolder {
  private final Path tokenizer;
  private final JsonNode config;

  TokenizerFolder(Path tokenizer) {
    this.tokenizer = tokenizer;
    this.config = readJson("tokenizer_config.json");
  }

  String tokenizer() {
    return read(tokenizer).orElseThrow(() -> new ModelFormatException(tokenizer, "no such file"));
  }

  OptionalInt bos(TokenTable table) {
    return table.find(specialToken("bos_token"));
  }

  /** The end tokens of tokenizer_config.json and of generation_config.json together. */
  Set<Integer> eos(TokenTable table) {
    Set<Integer> ends = new TreeSet<>();
    table.find(specialToken("eos_token")).ifPresent(ends::add);
    JsonNode ids = readJson("generation_config.json").path("eos_token_id");
    if (ids.isInt()) {
      ends.add(ids.intValue());
    }
    ids.forEach(id -> ends.add(id.intValue()));
    return ends;
  }

  Optional<ChatTemplate> chatTemplate() {
    Path file = tokenizer.resolveSibling("chat_template.jinja");
    Optional<String> source = read(file);
    if (source.isEmpty()) {
      file = tokenizer.resolveSibling("tokenizer_config.json");
      source = configuredTemplate();
    }
    Path origin = file;
    Map<String, String> special = new HashMap<>();
    for (String name : List.of("bos_token", "eos_token", "unk_token", "pad_token", "sep_token")) {
      if (!specialToken(name).isEmpty()) {
        special.put(name, specialToken(name));
      }
    }
    return source.map(text -> new ChatTemplate(origin, text, special));
  }

  private Optional<String> configuredTemplate() {
    JsonNode template = config.path("chat_template");
    for (JsonNode named : template) {
      if (named.path("name").asText().equals("default")) {
        template = named.path("template");
      }
    }
    return template.isTextual() ? Optional.of(template.textValue()) : Optional.empty();
  }

  /** A special token's text, given as it is or as an object; empty if there is none. */
  private String specialToken(String name) {
    JsonNode token = config.path(name);
    return token.path("content").asText(token.asText(""));
  }

  private JsonNode readJson(String name) {
    Path file = tokenizer.resolveSibling(name);
    Optional<String> text = read(file);
    if (text.isEmpty()) {
      return MissingNode.getInstance();
    }
    try {
      return TokenizerJson.MAPPER.readTree(text.get());
    } catch (IOException e) {
      throw new ModelFormatException(file, "is not JSON", e);
    }
  }

  private static Optional<String> read(Path file) {
    try {
      return Optional.of(Files.readString(file));
    } catch (NoSuchFileException e) {
      return Optional.empty();
    } catch (CharacterCodingException e) {
      throw new ModelFormatException(file, "is not UTF-8", e);
    } catch (IOException e) {
      throw new ModelFormatException(file, "cannot be read: " + e.getMessage(), e);
    }
  }
}
