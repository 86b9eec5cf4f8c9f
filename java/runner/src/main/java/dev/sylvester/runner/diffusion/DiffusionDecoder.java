package dev.sylvester.runner.diffusion;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.function.Predicate;

/**
 * Fills canvases. Several of them are read together: a pass reads the weights once for all, and
 * computes once what several have in common. Results do not depend on what else is read. One thread
 * at a time.
 */
public final class DiffusionDecoder {
  private final Denoiser denoiser;
  private final Precision precision;
  private final SharedReading reading;
  private final Pass pass = new Pass();
  private int[] canvases = new int[16];
  private int[] rows = new int[16];
  private int rowCount;
  private boolean[] asking = new boolean[0];
  private int[] firstRows = new int[0];
  private MemorySegment logits;
  private MemorySegment[] logitsFrom = new MemorySegment[16];

  /** With a model; the caller closes it. */
  public DiffusionDecoder(Denoiser denoiser) {
    this(denoiser, Precision.F32);
  }

  /** With a model and other statistics. */
  public DiffusionDecoder(Denoiser denoiser, Precision precision) {
    this.denoiser = denoiser;
    this.reading = new SharedReading(denoiser);
    this.precision = precision;
  }

  /**
   * Fills one canvas.
   *
   * @throws IllegalStateException when logits are not finite, or a rule commits nothing twice
   * @throws IllegalArgumentException when the model cannot keep what the request's cache leaves out
   */
  public DiffusionResult fill(DiffusionRequest request) {
    return fill(List.of(request), filled -> false).getFirst();
  }

  /**
   * Fills canvases side by side.
   *
   * @param enough is given the results so far whenever one more is there, with null for those that
   *     are not; true ends it
   * @return a result for each request, null where it was ended before
   */
  public List<DiffusionResult> fill(
      List<DiffusionRequest> requests, Predicate<List<DiffusionResult>> enough) {
    long start = System.nanoTime();
    Decoding[] active = new Decoding[requests.size()];
    asking = new boolean[active.length];
    firstRows = new int[active.length];
    int length = 0;
    int tail = 0;
    for (int i = 0; i < active.length; i++) {
      DiffusionRequest request = requests.get(i);
      requireSuffixes(request.cache());
      active[i] = new Decoding(request, denoiser.vocabSize(), denoiser.shifted(), precision);
      int tokens = request.canvas().tokens().length;
      length = Math.max(length, tokens);
      tail = Math.max(tail, tokens - active[i].rowOf(request.canvas().promptLength()));
    }
    reading.reserve(2 * active.length, length, tail);
    List<DiffusionResult> results = new ArrayList<>(Collections.nCopies(active.length, null));
    int left = active.length;
    while (true) {
      int before = left;
      for (int i = 0; i < active.length; i++) {
        if (active[i] != null && !active[i].plan()) {
          results.set(i, active[i].result((System.nanoTime() - start) * 1e-9));
          active[i] = null;
          left--;
        }
      }
      if (left == 0 || left < before && enough.test(results)) {
        return results;
      }
      pass.clear();
      for (int i = 0; i < active.length; i++) {
        if (active[i] != null) {
          active[i].addTo(pass, 2 * i, denoiser.suffixesOnly());
        }
      }
      reading.read(pass);
      for (int i = 0; i < active.length; i++) {
        if (active[i] != null) {
          active[i].computed(reading.rows(2 * i) + reading.rows(2 * i + 1));
        }
      }
      predict(active, false);
      // Before another pass: these want more rows of this one.
      predict(active, true);
    }
  }

  private void requireSuffixes(CachePolicy cache) {
    if (denoiser.suffixesOnly() && !cache.suffixes()) {
      throw new IllegalArgumentException(
          ("cache is %s, must be none or prefix: packed keys and values are only kept of what is"
                  + " before all that a pass computes")
              .formatted(cache));
    }
  }

  /** From the last pass: all of them take a step, or those that it can finish. */
  private void predict(Decoding[] active, boolean finishing) {
    rowCount = 0;
    int readers = 0;
    Decoding last = null;
    for (int i = 0; i < active.length; i++) {
      asking[i] = active[i] != null && (!finishing || active[i].canFinish());
      if (asking[i]) {
        firstRows[i] = rowsOf(active, i);
        last = active[i];
        readers++;
      }
    }
    if (readers == 0) {
      return;
    }
    // Several are better off with one product for all of them.
    if (readers == 1 && last.stats().compute(denoiser, canvases, rows, last.predictions(), last)) {
      last.accept();
      last.show();
      return;
    }
    readFrom(denoiser.logits(canvases, rows, rowCount));
    for (int i = 0; i < active.length; i++) {
      if (asking[i]) {
        accept(active[i], firstRows[i]);
      }
    }
  }

  private void readFrom(MemorySegment segment) {
    if (logits != segment) {
      logits = segment;
      Arrays.fill(logitsFrom, null);
    }
  }

  /** The logits of a row and those behind it; no new object when asked again. */
  private MemorySegment logitsFrom(int row) {
    if (row >= logitsFrom.length) {
      logitsFrom = Arrays.copyOf(logitsFrom, 2 * row);
    }
    if (logitsFrom[row] == null) {
      logitsFrom[row] = logits.asSlice((long) row * denoiser.vocabSize() * Float.BYTES);
    }
    return logitsFrom[row];
  }

  /** The first of a canvas's rows: those of one before it that asks for the same, or new ones. */
  private int rowsOf(Decoding[] active, int canvas) {
    for (int before = 0; before < canvas; before++) {
      if (asking[before] && asksForTheSame(active, before, canvas)) {
        return firstRows[before];
      }
    }
    int first = rowCount;
    addRows(active[canvas], 2 * canvas);
    return first;
  }

  private boolean asksForTheSame(Decoding[] active, int a, int b) {
    return reading.place(2 * a) == reading.place(2 * b)
        && active[a].guided() == active[b].guided()
        && (!active[a].guided() || reading.place(2 * a + 1) == reading.place(2 * b + 1))
        && active[a].predictions().asksAs(active[b].predictions());
  }

  private void addRows(Decoding decoding, int canvas) {
    Predictions predictions = decoding.predictions();
    int copies = decoding.guided() ? 2 : 1;
    int end = rowCount + copies * predictions.count();
    if (end > rows.length) {
      canvases = Arrays.copyOf(canvases, 2 * end);
      rows = Arrays.copyOf(rows, 2 * end);
    }
    for (int copy = 0; copy < copies; copy++) {
      for (int r = 0; r < predictions.count(); r++) {
        canvases[rowCount] = reading.place(canvas + copy);
        rows[rowCount++] = decoding.rowOf(predictions.position(r));
      }
    }
  }

  private void accept(Decoding decoding, int row) {
    Predictions predictions = decoding.predictions();
    MemorySegment unconditional = decoding.guided() ? logitsFrom(row + predictions.count()) : null;
    decoding.stats().compute(logitsFrom(row), unconditional, predictions, decoding);
    decoding.accept();
    decoding.show();
  }
}
