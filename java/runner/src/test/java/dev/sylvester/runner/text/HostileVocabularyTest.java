package dev.sylvester.runner.text;

import static org.assertj.core.api.Assertions.assertThat;

import dev.sylvester.runner.format.ModelFormatException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;

/** Vocabularies of GGUF files that make no sense: used or refused, but survived. */
class HostileVocabularyTest {
  private static final String[] PIECES = {
    "",
    "a",
    "b",
    "ab",
    "▁",
    "▁a",
    "Ġ",
    "Ġa",
    "Ċ",
    "<0x0A>",
    "<0xFF>",
    "<0xZZ>",
    "<s>",
    "<unk>",
    "é",
    "😀",
    " ",
    "  ",
    "\n",
    "\u0000",
    "\"",
    "\\",
    "a b",
    "#version",
    "aa",
    "aaa",
    "\u0301",
  };
  private static final String[] TEXTS = {
    "", "a", "aab ab\n", "▁ a😀é\u0301 <s> <unk> <0x0A>", "\u0000\n\"\\", "  a b  ", "zz 123 ''",
  };

  @Property(tries = 3_000, seed = "7")
  void areUsedOrRefused(@ForAll long seed) {
    Random random = new Random(seed);
    try (Tokenizer tokenizer = Tokenizer.fromGguf(vocabulary(random))) {
      for (String text : TEXTS) {
        int[] ids = tokenizer.encode(text, random.nextBoolean());
        for (int id : ids) {
          assertThat(id).isBetween(0, tokenizer.vocabSize() - 1);
        }
        tokenizer.decode(ids, random.nextBoolean());
      }
      tokenizer.chatTemplate();
    } catch (ModelFormatException e) {
      assertThat(e.getMessage().lines()).hasSize(1);
    }
  }

  private static GgufVocabulary vocabulary(Random random) {
    int size = 1 + random.nextInt(20);
    List<String> tokens = new ArrayList<>();
    int[] types = new int[random.nextInt(4) == 0 ? 0 : size];
    float[] scores = new float[random.nextInt(4) == 0 ? 0 : size];
    for (int i = 0; i < size; i++) {
      tokens.add(PIECES[random.nextInt(PIECES.length)]);
    }
    for (int i = 0; i < types.length; i++) {
      types[i] = random.nextInt(3) == 0 ? 1 + random.nextInt(6) : 1;
    }
    float[] someScores = {0, -1, 1e30f, Float.NaN, Float.NEGATIVE_INFINITY, -0f};
    for (int i = 0; i < scores.length; i++) {
      scores[i] = someScores[random.nextInt(someScores.length)];
    }
    List<String> merges = new ArrayList<>();
    for (int i = random.nextInt(4); i > 0; i--) {
      String left = tokens.get(random.nextInt(size));
      merges.add(left + " " + tokens.get(random.nextInt(size)));
    }
    String[] pres = {"gpt-2", "llama-bpe", "qwen2", "default", "smollm", "tekken"};
    return new GgufVocabulary(
        Path.of("model.gguf"),
        random.nextBoolean() ? "gpt2" : "llama",
        Optional.of(pres[random.nextInt(pres.length)]),
        tokens,
        types,
        scores,
        merges,
        id(random, size),
        id(random, size),
        id(random, size),
        id(random, size),
        id(random, size),
        flag(random),
        flag(random),
        flag(random),
        Optional.of("{{ bos_token }}"));
  }

  private static OptionalInt id(Random random, int size) {
    return random.nextBoolean() ? OptionalInt.of(random.nextInt(size)) : OptionalInt.empty();
  }

  private static Optional<Boolean> flag(Random random) {
    return random.nextBoolean() ? Optional.of(random.nextBoolean()) : Optional.empty();
  }
}
