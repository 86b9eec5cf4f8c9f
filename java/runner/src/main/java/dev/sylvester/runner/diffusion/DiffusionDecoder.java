package dev.sylvester.runner.diffusion;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.function.Predicate;

/**
 * Fills canvases. Several of them are read together: a pass reads the weights once for all. Results
 * do not depend on what else is read. One thread at a time.
 */
public final class DiffusionDecoder {
  private final Denoiser denoiser;
  private final Precision precision;
  private final Pass pass = new Pass();
  private int[] canvases = new int[16];
  private int[] rows = new int[16];
  private int rowCount;

  /** With a model; the caller closes it. */
  public DiffusionDecoder(Denoiser denoiser) {
    this(denoiser, Precision.F32);
  }

  /** With a model and other statistics. */
  public DiffusionDecoder(Denoiser denoiser, Precision precision) {
    this.denoiser = denoiser;
    this.precision = precision;
  }

  /**
   * Fills one canvas.
   *
   * @throws IllegalStateException when logits are not finite, or a rule commits nothing twice
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
    List<Decoding> decodings = new ArrayList<>();
    int length = 0;
    for (DiffusionRequest request : requests) {
      decodings.add(new Decoding(request, denoiser.vocabSize(), denoiser.shifted(), precision));
      length = Math.max(length, request.canvas().tokens().length);
    }
    denoiser.reserve(2 * requests.size(), length);
    List<DiffusionResult> results = new ArrayList<>(Collections.nCopies(requests.size(), null));
    List<Integer> active = new ArrayList<>();
    for (int i = 0; i < requests.size(); i++) {
      active.add(i);
    }
    while (true) {
      boolean ended = false;
      for (int i : List.copyOf(active)) {
        if (!decodings.get(i).plan()) {
          active.remove((Integer) i);
          results.set(i, decodings.get(i).result((System.nanoTime() - start) * 1e-9));
          ended = true;
        }
      }
      if (active.isEmpty() || ended && enough.test(results)) {
        return results;
      }
      pass.clear();
      for (int i : active) {
        decodings.get(i).addTo(pass, 2 * i);
      }
      denoiser.read(pass);
      predict(decodings, active);
      // Before another pass: these want more rows of this one.
      predict(decodings, active.stream().filter(i -> decodings.get(i).canFinish()).toList());
    }
  }

  private void predict(List<Decoding> decodings, List<Integer> active) {
    rowCount = 0;
    for (int i : active) {
      addRows(decodings.get(i), 2 * i);
    }
    MemorySegment logits = denoiser.logits(canvases, rows, rowCount);
    long row = 0;
    for (int i : active) {
      row = accept(decodings.get(i), logits, row);
    }
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
        canvases[rowCount] = canvas + copy;
        rows[rowCount++] = decoding.rowOf(predictions.position(r));
      }
    }
  }

  private long accept(Decoding decoding, MemorySegment logits, long row) {
    Predictions predictions = decoding.predictions();
    long bytes = (long) denoiser.vocabSize() * Float.BYTES;
    long end = row + predictions.count();
    MemorySegment own = logits.asSlice(row * bytes);
    MemorySegment unconditional = decoding.guided() ? logits.asSlice(end * bytes) : null;
    long after = decoding.guided() ? end + predictions.count() : end;
    decoding.stats().compute(own, unconditional, predictions, decoding);
    decoding.accept();
    decoding.show();
    return after;
  }
}
