package dev.sylvester.runner.cli;

import dev.sylvester.kernels.AcceptanceHead;
import dev.sylvester.kernels.SamplerOptions;
import dev.sylvester.kernels.SpecMode;
import dev.sylvester.kernels.Workspace;
import dev.sylvester.kernels.spec.AcceptancePredictor;
import dev.sylvester.kernels.spec.DraftSource;
import dev.sylvester.kernels.spec.NgramDraft;
import dev.sylvester.kernels.spec.SourceChain;
import dev.sylvester.kernels.spec.SpecOptions;
import dev.sylvester.kernels.spec.StopRule;
import dev.sylvester.kernels.spec.TreeShape;
import dev.sylvester.runner.Drafts;
import dev.sylvester.runner.Model;
import dev.sylvester.runner.ModelOptions;
import dev.sylvester.runner.Session;
import dev.sylvester.runner.format.ModelFile;
import dev.sylvester.runner.hub.Catalog;
import dev.sylvester.runner.spec.HeadFile;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;

/** What {@code --draft} names, open: the draft's model and its acceptance head, if any. */
final class Drafting implements AutoCloseable {
  private static final String NGRAM = "ngram";
  private static final String NGRAM_AND = "ngram+";
  private static final String SKIP = "skip:";
  private static final String GROW = "grow:";
  private static final int MOST_NODES = 255;
  static final int LEAST = 2; // candidates of a chain that a rule ends
  static final int MOST = 20;
  private static final String SHIPPED_HEAD = "accept-head.safetensors";

  private final String name;
  private final String tree;
  private final Model target;
  private final Arena arena = Arena.ofShared();
  private final Workspace workspace = new Workspace();
  private Model model;
  private Session session;
  private AcceptancePredictor predictor;

  private Drafting(String name, String tree, Model target) {
    this.name = name;
    this.tree = tree;
    this.target = target;
  }

  /**
   * Opens a draft.
   *
   * @param name of a model, or ngram, ngram+MODEL, skip:N
   * @param head file of an acceptance head; null: the one that comes with the draft, if any
   * @param tree children of each level, or grow:N; null: chains
   */
  static Drafting open(String name, Path head, String tree, Model target) {
    Drafting drafting = new Drafting(name, tree, target);
    try {
      drafting.open(head);
      return drafting;
    } catch (RuntimeException | Error e) {
      drafting.close();
      throw e;
    }
  }

  private void open(Path head) {
    boolean chain = name.startsWith(NGRAM_AND);
    boolean alone = name.equals(NGRAM) || name.startsWith(SKIP);
    if (alone || chain) {
      requireModel(head, "--accept-head");
      requireModel(tree, "--tree");
    }
    if (alone) {
      return;
    }
    model = openModel(chain ? name.substring(NGRAM_AND.length()) : name);
    session = model.newSession();
    if (tree != null && head != null) {
      throw new IllegalArgumentException("--accept-head is for chains, --tree makes trees");
    }
    if (!chain && tree == null) {
      predictor = predictor(head);
    }
    drafts().close(); // tells now when it cannot draft
  }

  /** With as many threads as the target. */
  private Model openModel(String of) {
    int limit;
    try (ModelFile file = ModelFile.open(Catalog.resolve(of))) {
      limit = file.config().contextLength();
    }
    ModelOptions options =
        ModelOptions.defaults()
            .withThreads(target.threads())
            .withContext(Math.min(limit, target.context()));
    return Model.load(of, options);
  }

  private void requireModel(Object value, String option) {
    if (value != null) {
      throw new IllegalArgumentException(
          "%s is for a draft that is a model, not for %s".formatted(option, name));
    }
  }

  private AcceptancePredictor predictor(Path wanted) {
    Path file = wanted;
    if (file == null) {
      Path folder =
          Files.isDirectory(model.path())
              ? model.path()
              : model.path().toAbsolutePath().getParent();
      file = folder.resolve(SHIPPED_HEAD);
      if (!Files.isRegularFile(file)) {
        return null;
      }
    }
    AcceptanceHead read = HeadFile.read(file, arena);
    int width = model.config().hiddenSize();
    if (read.shape().width() != width) {
      throw new IllegalArgumentException(
          "%s is a head of width %d, the hidden states of %s have %d"
              .formatted(file, read.shape().width(), model.path(), width));
    }
    return hidden -> read.accept(hidden, workspace, null);
  }

  /** How to speculate with this draft, but for what a request says. */
  SpecOptions options(SpecMode mode, StopRule rule) {
    if (tree != null && mode == SpecMode.BLOCK) {
      throw new IllegalArgumentException("--spec block is for chains, --tree makes trees");
    }
    return SpecOptions.of(mode, SamplerOptions.GREEDY)
        .withRule(rule)
        .withPredictor(predictor)
        .withGate(rule instanceof StopRule.Cost)
        .withNodes(tree == null ? rule.most() : MOST_NODES);
  }

  /** A source for a session of the target; one at a time. */
  DraftSource source(Session of) {
    if (name.equals(NGRAM)) {
      return new NgramDraft();
    }
    if (name.startsWith(SKIP)) {
      return Drafts.layerSkip(of, layers());
    }
    return name.startsWith(NGRAM_AND)
        ? SourceChain.bestOf(List.of(new NgramDraft(), drafts()))
        : drafts();
  }

  private DraftSource drafts() {
    if (tree == null) {
      return Drafts.model(session, target);
    }
    try {
      if (tree.startsWith(GROW)) {
        int candidates = Integer.parseInt(tree.substring(GROW.length()));
        return Drafts.growingTree(session, target, candidates);
      }
      int[] children =
          Arrays.stream(tree.split(",", -1)).mapToInt(n -> Integer.parseInt(n.strip())).toArray();
      return Drafts.tree(session, target, TreeShape.levels(children));
    } catch (NumberFormatException e) {
      throw new IllegalArgumentException(
          "tree is '%s', must be children of each level such as 4,2,1, or grow:N".formatted(tree),
          e);
    }
  }

  private int layers() {
    try {
      return Integer.parseInt(name.substring(SKIP.length()));
    } catch (NumberFormatException e) {
      throw new IllegalArgumentException(
          "draft is '%s', must be skip:N with a number of layers".formatted(name), e);
    }
  }

  @Override
  public void close() {
    if (model != null) {
      model.close();
    }
    workspace.close();
    arena.close();
  }
}
