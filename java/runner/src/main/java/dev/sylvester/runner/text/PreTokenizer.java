package dev.sylvester.runner.text;

import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * How byte-level BPE vocabularies cut text into words before merging, under the names that GGUF
 * files use. Words are cut by one expression after the other, each within the words of the one
 * before. The expressions are those of the models' own tokenizer.json; where a name has none, those
 * of llama.cpp.
 */
enum PreTokenizer {
  GPT2(
      List.of("gpt-2", "phi-2", "olmo", "mpt", "jais", "trillion", "exaone4"),
      List.of(Expression.GPT2)),
  SMOLLM(
      List.of("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"),
      List.of("\\p{N}", Expression.GPT2)),
  LLAMA3(
      List.of("llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral"),
      List.of(Expression.LETTERS_AND_DIGITS.formatted("\\p{N}{1,3}"))),
  QWEN2(
      List.of("qwen2", "deepseek-r1-qwen", "megrez", "stablelm2"),
      List.of(Expression.LETTERS_AND_DIGITS.formatted("\\p{N}"))),
  TEKKEN(List.of("tekken"), List.of(Expression.TEKKEN)),
  DEFAULT(
      List.of("default"),
      List.of("[\\p{P}\\$\\+<=>\\^~\\|]+", Expression.GPT2, "\\p{N}+", "[0-9][0-9][0-9]"));

  private static final class Expression {
    static final String GPT2 =
        "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
    static final String LETTERS_AND_DIGITS =
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|%s"
            + "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
    static final String TEKKEN =
        "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+"
            + "|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*"
            + "|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
  }

  private final List<String> names;

  /** Regular expressions in Oniguruma's syntax. */
  final List<String> expressions;

  PreTokenizer(List<String> names, List<String> expressions) {
    this.names = names;
    this.expressions = expressions;
  }

  static Optional<PreTokenizer> named(String name) {
    return Arrays.stream(values()).filter(p -> p.names.contains(name)).findFirst();
  }

  /** All names, for messages. */
  static String names() {
    return Arrays.stream(values()).flatMap(p -> p.names.stream()).collect(Collectors.joining(", "));
  }

  /** Whether an expression is one of these, which are known not to backtrack much. */
  static boolean isKnownExpression(String expression) {
    return Arrays.stream(values()).anyMatch(p -> p.expressions.contains(expression))
        || expression.equals("\\p{N}{1,3}");
  }

  /** A word that is a token by itself is not assembled by merges. */
  boolean ignoresMerges() {
    return this == LLAMA3 || this == TEKKEN;
  }

  /** Text begins with the bos token unless the file says otherwise. */
  boolean addsBos() {
    return this == LLAMA3 || this == TEKKEN;
  }

  /** Text is brought to Unicode's composed form first. */
  boolean composes() {
    return this == QWEN2;
  }
}
