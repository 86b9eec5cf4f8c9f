package dev.sylvester.runner.layers;

import dev.sylvester.kernels.KvCache;
import dev.sylvester.kernels.KvCacheOptions;
import dev.sylvester.kernels.KvPlan;
import dev.sylvester.kernels.ThreadPool;
import dev.sylvester.runner.diffusion.Pass;
import java.util.Arrays;

/**
 * Packed keys and values, in one set of pages. A span is the end of its canvas: what was there is
 * cut off and the span appended, whose own tokens are read as halves as far as {@code tail} goes.
 */
final class PackedCanvasCaches extends CanvasCaches {
  private final KvPlan plan;
  private final KvPlan.Info info;
  private KvCache cache;
  private PackedTextCache[] texts = new PackedTextCache[0];
  private int length;
  private int tail = 1;
  private boolean[] seen;

  PackedCanvasCaches(Weights weights, ThreadPool pool, KvPlan plan) {
    super(weights, pool);
    this.plan = plan;
    this.info = plan.info();
  }

  @Override
  public boolean suffixesOnly() {
    return true;
  }

  @Override
  void reserve(int count, int mostTokens, int mostAtEnd) {
    if (count <= texts.length && mostTokens <= length && mostAtEnd <= tail) {
      return;
    }
    int most = Math.max(count, texts.length);
    closeTexts();
    length = Math.max(length, mostTokens);
    tail = Math.max(tail, mostAtEnd);
    // Copies share tiles: pages of more than one could be held by a single one of theirs.
    int page = PackedTextCaches.TILE;
    long pages = (long) most * Math.ceilDiv(length, page);
    cache = KvCache.of(plan, new KvCacheOptions(page, pages, tail));
    texts = new PackedTextCache[most];
    seen = new boolean[most];
  }

  private PackedTextCache text(int index) {
    if (texts[index] == null) {
      texts[index] =
          new PackedTextCache(
              weights.config(), info, cache, cache.newSequence(), 0, pool, tail, tail);
    }
    return texts[index];
  }

  @Override
  void copy(int from, int to) {
    if (texts[to] != null) {
      texts[to].close();
      texts[to] = null;
    }
    texts[to] = text(from).fork();
  }

  @Override
  boolean preRope() {
    return info.preRope();
  }

  @Override
  void begin(Pass pass) {
    Arrays.fill(seen, false);
    for (int span = 0; span < pass.count(); span++) {
      requireEnd(pass, span);
      seen[pass.canvas(span)] = true;
    }
    for (int span = 0; span < pass.count(); span++) {
      int from = pass.from(span);
      PackedTextCache text = text(pass.canvas(span));
      int before = text.length();
      text.truncate(from);
      if (text.length() != from) {
        throw new IllegalArgumentException(
            "position %d of text %d is not among the last %d of the %d that its cache has"
                .formatted(from, pass.canvas(span), tail, before));
      }
    }
  }

  private void requireEnd(Pass pass, int span) {
    int end = pass.tokens(span).length;
    if (seen[pass.canvas(span)] || pass.to(span) != end) {
      throw new IllegalArgumentException(
          ("positions %d..%d of the %d of text %d are not its end: packed keys and values are only"
                  + " kept of what is before all that a pass computes")
              .formatted(pass.from(span), pass.to(span) - 1, end, pass.canvas(span)));
    }
  }

  @Override
  void attend(int layer, Scratch s, Pass pass) {
    int row = 0;
    for (int span = 0; span < pass.count(); span++) {
      int rows = pass.rows(span);
      texts[pass.canvas(span)].attend(layer, s, row, pass.from(span), rows);
      row += rows;
    }
  }

  private void closeTexts() {
    for (PackedTextCache text : texts) {
      if (text != null) {
        text.close();
      }
    }
    texts = new PackedTextCache[0];
    if (cache != null) {
      cache.close();
      cache = null;
    }
  }

  @Override
  public void close() {
    closeTexts();
    plan.close();
  }
}
