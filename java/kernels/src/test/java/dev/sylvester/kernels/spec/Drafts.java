package dev.sylvester.kernels.spec;

import dev.sylvester.kernels.Workspace;
import java.lang.foreign.Arena;

/** Drafts without a {@link Speculation}. */
final class Drafts {
  private Drafts() {}

  static Draft empty(SpecOptions options, int vocabulary) {
    Arena arena = Arena.ofAuto();
    Sampling sampling = new Sampling(options, vocabulary, new Workspace(), arena);
    return new Draft(options, vocabulary, sampling, arena);
  }

  /** With room for so many candidates. */
  static void begin(Draft draft, Text text, int room) {
    draft.begin(text, room, room, room, new PassCosts(256), 0);
  }

  static DraftSource source(String name, Proposal proposal) {
    return new DraftSource() {
      @Override
      public String name() {
        return name;
      }

      @Override
      public void propose(Text text, Draft draft) {
        proposal.propose(text, draft);
      }
    };
  }

  interface Proposal {
    void propose(Text text, Draft draft);
  }
}
