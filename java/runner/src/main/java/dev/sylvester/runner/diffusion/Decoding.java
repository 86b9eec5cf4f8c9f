package dev.sylvester.runner.diffusion;

import java.util.Arrays;
import java.util.SplittableRandom;

/**
 * A canvas that is being filled, and how far it is. Rules look at it; it is changed by steps only.
 */
public final class Decoding {
  private static final int NOT_YET = -1;

  private final DiffusionRequest request;
  private final Canvas canvas;
  private final boolean shifted;
  private final int plannedSteps;
  private final int masksAtFirst;
  private final int[] tokens;
  private final int[] unconditional;
  private final int[] committedAt;
  private final boolean[] revised;
  private final boolean[] computed;
  private final boolean[] settled;
  private final Predictions predictions;
  private final Picks picks;
  private final RowStats stats;
  private final Schedule.Stage stage = new Schedule.Stage();
  private int windowBefore = NOT_YET;
  private int passOfWindow;
  private int step;
  private int stepsTaken;
  private int idlePasses;
  private int editPasses;
  private int edits;
  private boolean changed;
  private boolean sure;
  private boolean finished;
  private String stoppedBy = StopRule.NEVER.name();
  private int stopStep = NOT_YET;
  private int passes;
  private long rowsComputed;
  private long rowsPredicted;

  Decoding(DiffusionRequest request, int vocabSize, boolean shifted, Precision precision) {
    this.request = request;
    this.canvas = request.canvas();
    this.shifted = shifted;
    this.plannedSteps = request.schedule().steps(canvas);
    this.tokens = canvas.tokens().clone();
    this.masksAtFirst = canvas.masks(0, tokens.length);
    this.unconditional = request.sampling().guidance() > 0 ? tokens.clone() : null;
    if (unconditional != null) {
      Arrays.fill(unconditional, canvas.maskId());
    }
    this.committedAt = new int[tokens.length];
    Arrays.fill(committedAt, NOT_YET);
    this.revised = new boolean[tokens.length];
    this.computed = new boolean[tokens.length];
    this.settled = new boolean[tokens.length];
    this.predictions = new Predictions(tokens.length);
    this.picks = new Picks(tokens.length);
    if (canvas.maskId() >= vocabSize) {
      throw new IllegalArgumentException(
          "the mask token is %d, the vocabulary has %d".formatted(canvas.maskId(), vocabSize));
    }
    request.sampling().requireTokensBelow(vocabSize);
    this.stats =
        precision == Precision.F32
            ? new NativeStats(vocabSize, request.sampling(), canvas.maskId(), tokens.length)
            : new ReferenceStats(vocabSize, request.sampling(), canvas.maskId(), precision);
  }

  /** What it began with. */
  public Canvas canvas() {
    return canvas;
  }

  /** The rule that commits. */
  public CommitRule rule() {
    return request.rule();
  }

  /** The token at a position, or the mask. */
  public int token(int position) {
    return tokens[position];
  }

  /** The step in which a position got its token; -1: given, or unknown. */
  public int committedAt(int position) {
    return committedAt[position];
  }

  /** The current step, from 0 on. */
  public int step() {
    return step;
  }

  /** What the current step is about. */
  public Schedule.Stage stage() {
    return stage;
  }

  /** How far it is: the share of the planned steps, or of the tokens where rules need no plan. */
  public double progress() {
    return rule().adaptive()
        ? 1 - (double) masks(0, tokens.length) / masksAtFirst
        : (double) step / plannedSteps;
  }

  /** Unknown tokens among positions {@code from <= i < to}. */
  public int masks(int from, int to) {
    int count = 0;
    for (int i = from; i < to; i++) {
      count += tokens[i] == canvas.maskId() ? 1 : 0;
    }
    return count;
  }

  /** The first unknown position, or -1. */
  public int firstMask() {
    for (int i = 0; i < tokens.length; i++) {
      if (tokens[i] == canvas.maskId()) {
        return i;
      }
    }
    return -1;
  }

  /** The known token of a position, else the most probable one, else the mask. */
  public int bestToken(int position, Predictions of) {
    int row = of == null || tokens[position] != canvas.maskId() ? -1 : of.row(position);
    return row < 0 ? tokens[position] : of.argmax(row);
  }

  /** Whether it is in the window of the current step. */
  public boolean inWindow(int position) {
    return stage.from() <= position && position < stage.to();
  }

  /** Whether it was committed, and never taken back. */
  public boolean revisable(int position) {
    return committedAt[position] != NOT_YET && !revised[position];
  }

  /**
   * Whether the last pass read the token that a position has now and, where rows predict the next
   * position, found that known as well.
   */
  public boolean settled(int position) {
    return settled[position];
  }

  /** A number in [0, 1) that depends on seed, step and position only. */
  public double uniform(int position) {
    return random(position).nextDouble();
  }

  SplittableRandom random(int position) {
    return random(request.sampling().seed(), step, position);
  }

  static SplittableRandom random(long seed, int step, int position) {
    long stepAndPosition = (long) step << 32 | position;
    return new SplittableRandom(
        new SplittableRandom(seed).nextLong() + stepAndPosition * 0x9E3779B97F4A7C15L);
  }

  /** All unknown positions become this token, in the last step. */
  void fill(int token) {
    for (int i = 0; i < tokens.length; i++) {
      if (tokens[i] == canvas.maskId()) {
        commit(i, token, Math.max(0, step - 1));
      }
    }
  }

  private void commit(int position, int token, int when) {
    settled[position] = false;
    tokens[position] = token;
    if (unconditional != null) {
      unconditional[position] = token;
    }
    if (token != canvas.maskId()) {
      committedAt[position] = when;
    }
  }

  Predictions predictions() {
    return predictions;
  }

  RowStats stats() {
    return stats;
  }

  boolean guided() {
    return unconditional != null;
  }

  /**
   * Decides what the next pass has to predict.
   *
   * @return whether there is one
   */
  boolean plan() {
    predictions.clear();
    if (finished) {
      return false;
    }
    if (sure) {
      addMasks(0, tokens.length);
      return true;
    }
    if (planEdits()) {
      request.stop().watch(this, predictions);
      return true;
    }
    if (request.stop().isDone(this)) {
      stopped();
      return false;
    }
    boolean planned = request.schedule().plan(this, stage);
    while (planned && request.rule().idle(stage)) {
      step++;
      planned = request.schedule().plan(this, stage);
    }
    if (!planned) {
      return false;
    }
    // Rows before the window were not computed where a cache has them.
    addMasks(request.cache() == CachePolicy.NONE ? 0 : stage.from(), stage.to());
    addRevisable();
    request.stop().watch(this, predictions);
    return true;
  }

  /** The window once more, when it is full and its tokens may still change. */
  private boolean planEdits() {
    if (changed && editPasses < rule().editPasses() && masks(0, stage.to()) == 0) {
      addRevisable();
      editPasses++;
    } else {
      editPasses = 0;
    }
    return predictions.count() > 0;
  }

  private void addRevisable() {
    for (int i = stage.from(); rule().revises() && i < stage.to(); i++) {
      if (revisable(i)) {
        predictions.add(i);
      }
    }
  }

  private void addMasks(int from, int to) {
    for (int i = from; i < to; i++) {
      if (tokens[i] == canvas.maskId()) {
        predictions.add(i);
      }
    }
    predictions.endOfCandidates();
  }

  /** Row that predicts a position. */
  int rowOf(int position) {
    return shifted ? Math.max(0, position - 1) : position;
  }

  /**
   * Adds what must be computed for these predictions.
   *
   * @param suffix whether that is everything from its first position on
   */
  void addTo(Pass pass, int index, boolean suffix) {
    passOfWindow = sure || stage.from() != windowBefore ? 0 : passOfWindow + 1;
    windowBefore = stage.from();
    Arrays.fill(computed, false);
    request.cache().mark(this, passOfWindow, computed);
    for (int row = 0; row < predictions.count(); row++) {
      computed[rowOf(predictions.position(row))] = true;
    }
    for (int i = 1; suffix && i < tokens.length; i++) {
      computed[i] |= computed[i - 1];
    }
    for (int i = 0; i < tokens.length; ) {
      int end = i;
      while (end < tokens.length && computed[end]) {
        end++;
      }
      if (end > i) {
        pass.add(index, tokens, i, end);
        if (unconditional != null) {
          pass.add(index + 1, unconditional, i, end);
        }
      }
      i = end + 1;
    }
    for (int i = 0; i < tokens.length; i++) {
      settled[i] = isKnown(i) && (!shifted || i + 1 == tokens.length || isKnown(i + 1));
    }
    passes += unconditional == null ? 1 : 2;
  }

  /** So many positions were computed for it alone, or for it and others. */
  void computed(int rows) {
    rowsComputed += rows;
  }

  private boolean isKnown(int position) {
    return tokens[position] != canvas.maskId();
  }

  /** Whether the last pass computed all that predicts what is still unknown. */
  boolean canFinish() {
    if (!sure || finished) {
      return false;
    }
    plan();
    for (int row = 0; row < predictions.count(); row++) {
      if (!computed[rowOf(predictions.position(row))]) {
        return false;
      }
    }
    return true;
  }

  /** Takes a step; the statistics are those of the predictions. */
  void accept() {
    predictions.set(stats);
    rowsPredicted += predictions.count();
    if (sure) {
      commitBest();
      return;
    }
    if (request.stop().isSure(predictions, this)) {
      sure = true;
      stopped();
      stepsTaken++;
      if (predictions.candidates() == masks(0, tokens.length)) {
        commitBest();
      }
      return;
    }
    picks.clear();
    request.rule().select(predictions, this, picks);
    int committed = apply();
    idlePasses = committed == 0 && predictions.candidates() > 0 ? idlePasses + 1 : 0;
    if (idlePasses == 2 && request.rule().adaptive()) {
      throw new IllegalStateException(
          "%s has committed no token in steps %d and %d".formatted(request.rule(), step - 1, step));
    }
    step++;
    stepsTaken++;
  }

  private void stopped() {
    stoppedBy = request.stop().name();
    stopStep = step;
  }

  private void commitBest() {
    for (int row = 0; row < predictions.candidates(); row++) {
      commit(predictions.position(row), predictions.argmax(row), step);
    }
    finished = true;
  }

  private int apply() {
    for (int i = 0; i < picks.remasks(); i++) {
      int position = picks.remaskAt(i);
      revised[position] = true;
      settled[position] = false;
      committedAt[position] = NOT_YET;
      tokens[position] = canvas.maskId();
      if (unconditional != null) {
        unconditional[position] = canvas.maskId();
      }
    }
    int committed = 0;
    for (int i = 0; i < picks.commits(); i++) {
      int row = picks.commitAt(i);
      commit(predictions.position(row), predictions.token(row), step);
      if (row >= predictions.candidates()) {
        edits++;
      } else if (predictions.token(row) != canvas.maskId()) {
        committed++;
      }
    }
    changed = picks.commits() + picks.remasks() > 0;
    return committed;
  }

  void show() {
    request.listener().accept(this);
  }

  DiffusionResult result(double seconds) {
    int from = canvas.promptLength();
    return new DiffusionResult(
        Arrays.copyOfRange(tokens, from, tokens.length),
        stepsTaken,
        passes,
        rowsComputed,
        rowsPredicted,
        edits,
        Arrays.copyOfRange(committedAt, from, tokens.length),
        stoppedBy,
        stopStep,
        seconds);
  }
}
