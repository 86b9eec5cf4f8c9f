package dev.sylvester.kernels.spec;

import java.util.Random;

/** Proposes anything anywhere, and often nothing. */
final class RandomDraft implements DraftSource {
  private final Random random;
  private final int vocabulary;
  private final boolean trees;

  RandomDraft(long seed, int vocabulary, boolean trees) {
    random = new Random(seed);
    this.vocabulary = vocabulary;
    this.trees = trees;
  }

  @Override
  public String name() {
    return "random";
  }

  @Override
  public void propose(Text text, Draft draft) {
    int wanted = random.nextInt(8);
    for (int i = 0; i < wanted && draft.room() > 0; i++) {
      int parent = trees ? random.nextInt(draft.count() + 1) : draft.count();
      if (draft.depth(parent) < draft.maxDepth()) {
        double confidence = random.nextInt(4) == 0 ? Double.NaN : random.nextDouble();
        draft.add(parent, random.nextInt(vocabulary), confidence);
      }
    }
  }
}
