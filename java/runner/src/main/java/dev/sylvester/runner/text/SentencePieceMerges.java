package dev.sylvester.runner.text;

import dev.sylvester.runner.format.ModelFormatException;
import dev.sylvester.runner.text.GgufVocabulary.TokenType;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * The merges of a SentencePiece vocabulary. It has none: it joins whichever neighbours make the
 * piece with the best score. Every way to cut a piece in two is a merge, ranked by the piece's
 * score; ties are broken as transformers' converters break them.
 */
final class SentencePieceMerges {
  private static final Comparator<Merge> BEST_FIRST =
      Comparator.comparing(Merge::score, Comparator.reverseOrder())
          .thenComparing(Merge::leftLength, Comparator.reverseOrder())
          .thenComparing(Merge::rightLength, Comparator.reverseOrder());

  /** Lengths are in characters. */
  record Merge(
      String left, String right, float score, int leftLength, int rightLength, long parts) {}

  private SentencePieceMerges() {}

  /**
   * @throws ModelFormatException if the vocabulary has no scores
   */
  static List<Merge> of(GgufVocabulary vocabulary) {
    if (vocabulary.scores().length == 0) {
      throw new ModelFormatException(vocabulary.file(), "key 'tokenizer.ggml.scores' is missing");
    }
    List<String> tokens = vocabulary.tokens();
    Map<String, Integer> ids = HashMap.newHashMap(tokens.size());
    for (int id = 0; id < tokens.size(); id++) {
      ids.put(tokens.get(id), id);
    }
    List<Merge> merges = new ArrayList<>();
    List<Merge> ofOne = new ArrayList<>();
    for (int id = 0; id < tokens.size(); id++) {
      if (isJoined(vocabulary.type(id))) {
        addCuts(tokens.get(id), vocabulary.scores()[id], ids, ofOne);
        ofOne.sort(Comparator.comparing(Merge::parts));
        merges.addAll(ofOne);
        ofOne.clear();
      }
    }
    merges.sort(BEST_FIRST);
    return merges;
  }

  private static boolean isJoined(TokenType type) {
    return type != TokenType.CONTROL && type != TokenType.UNKNOWN && type != TokenType.BYTE;
  }

  private static void addCuts(
      String token, float score, Map<String, Integer> ids, List<Merge> merges) {
    int length = token.codePointCount(0, token.length());
    for (int n = 1, cut = 0; n < length; n++) {
      cut = token.offsetByCodePoints(cut, 1);
      String left = token.substring(0, cut);
      Integer leftId = ids.get(left);
      if (leftId != null) {
        String right = token.substring(cut);
        Integer rightId = ids.get(right);
        if (rightId != null) {
          long parts = (long) leftId << 32 | rightId;
          merges.add(new Merge(left, right, score, n, length - n, parts));
        }
      }
    }
  }
}
