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
import dev.sylvester.runner.Drafts;
import dev.sylvester.runner.Model;
import dev.sylvester.runner.Session;
import dev.sylvester.runner.Speculator;
import dev.sylvester.runner.spec.HeadFile;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** What {@code --draft} names, open: the draft's model and its acceptance head, if any. */
final class Drafting implements AutoCloseable {
  private static final String NGRAM = "ngram";
  private static final String NGRAM_AND = "ngram+";
  private static final String SKIP = "skip:";
  private static final String SHIPPED_HEAD = "accept-head.safetensors";

  private final String name;
  private final SpecMode mode;
  private final StopRule rule;
  private final Model target;
  private final Arena arena = Arena.ofShared();
  private final Workspace workspace = new Workspace();
  private Model model;
  private Session session;
  private AcceptancePredictor predictor;

  private Drafting(String name, SpecMode mode, StopRule rule, Model target) {
    this.name = name;
    this.mode = mode;
    this.rule = rule;
    this.target = target;
  }

  /**
   * Opens a draft.
   *
   * @param name of a model, or ngram, ngram+MODEL, skip:N
   * @param head file of an acceptance head; null: the one that comes with the draft, if any
   */
  static Drafting open(
      String name,
      Path head,
      SpecMode mode,
      StopRule rule,
      ModelArguments arguments,
      Model target) {
    Drafting drafting = new Drafting(name, mode, rule, target);
    try {
      drafting.open(head, arguments);
      return drafting;
    } catch (RuntimeException | Error e) {
      drafting.close();
      throw e;
    }
  }

  private void open(Path head, ModelArguments arguments) {
    boolean chain = name.startsWith(NGRAM_AND);
    boolean skip = name.startsWith(SKIP);
    if (head != null && (chain || skip || name.equals(NGRAM))) {
      throw new IllegalArgumentException(
          "--accept-head is for a draft that is a model, not for " + name);
    }
    if (skip || name.equals(NGRAM)) {
      return;
    }
    model = arguments.openDraft(chain ? name.substring(NGRAM_AND.length()) : name, target);
    session = model.newSession();
    if (!chain) {
      predictor = predictor(head);
    }
    Drafts.model(session, target).close(); // tells now when it cannot draft
  }

  private AcceptancePredictor predictor(Path wanted) {
    Path file = wanted;
    if (file == null) {
      Path folder = Files.isDirectory(model.path()) ? model.path() : model.path().getParent();
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

  /** Speculation for a session of the target; the caller closes it. */
  Speculator speculator(Session of) {
    SpecOptions options =
        SpecOptions.of(mode, SamplerOptions.GREEDY)
            .withRule(rule)
            .withPredictor(predictor)
            .withGate(!(rule instanceof StopRule.Constant))
            .withNodes(rule.most());
    return Speculator.of(of, source(of), options);
  }

  private DraftSource source(Session of) {
    if (name.equals(NGRAM)) {
      return ngram();
    }
    if (name.startsWith(SKIP)) {
      return Drafts.layerSkip(of, layers());
    }
    DraftSource drafts = Drafts.model(session, target);
    return name.startsWith(NGRAM_AND) ? SourceChain.bestOf(List.of(ngram(), drafts)) : drafts;
  }

  private static DraftSource ngram() {
    return new NgramDraft(2, 16, 2);
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
