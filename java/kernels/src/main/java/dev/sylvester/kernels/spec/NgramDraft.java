package dev.sylvester.kernels.spec;

import dev.sylvester.kernels.Status;
import dev.sylvester.kernels.SylvesterException;

/**
 * Prompt lookup: proposes what followed the latest earlier occurrence of the longest suffix of the
 * text, which a suffix automaton finds. Candidates behind the text's end repeat those before them.
 * A text that goes back is read anew.
 */
public final class NgramDraft implements DraftSource {
  private static final double HALF = 4; // matched tokens that give a confidence of one half

  private final int least;
  private final double factor;
  private final SuffixAutomaton automaton;
  private final Text seen = new Text();

  /** A source that wants two tokens matched and tells suffixes up to 32. */
  public NgramDraft() {
    this(2, 32, 4);
  }

  /**
   * A source.
   *
   * @param least shortest suffix that counts, at least 1
   * @param most longest suffix that is told from shorter ones
   * @param factor most candidates for each token of the suffix
   */
  public NgramDraft(int least, int most, double factor) {
    check(least >= 1 && most >= least, "suffixes of " + least + ".." + most + " tokens");
    check(factor > 0, "factor is " + factor);
    this.least = least;
    this.factor = factor;
    automaton = new SuffixAutomaton(most);
  }

  private static void check(boolean good, String problem) {
    if (!good) {
      throw new SylvesterException(Status.BAD_VALUE, "NgramDraft: " + problem);
    }
  }

  @Override
  public String name() {
    return "ngram";
  }

  @Override
  public void propose(Text text, Draft draft) {
    read(text);
    int length = automaton.matchLength();
    if (length < least) {
      return;
    }
    int from = automaton.matchEnd();
    while (draft.wanted() && draft.count() < factor * length) {
      int next = from + draft.count() - text.length();
      int token = next < 0 ? text.get(text.length() + next) : draft.token(next + 1);
      double match = length + draft.count();
      draft.add(token, match / (match + HALF));
    }
  }

  private void read(Text text) {
    int common = seen.commonPrefix(text);
    if (common < seen.length()) {
      automaton.clear();
      seen.truncate(0);
    }
    for (int i = seen.length(); i < text.length(); i++) {
      automaton.append(text.get(i));
    }
    seen.follow(text, seen.length());
  }
}
