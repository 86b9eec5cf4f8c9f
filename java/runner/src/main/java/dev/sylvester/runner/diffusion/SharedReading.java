package dev.sylvester.runner.diffusion;

import java.util.Arrays;

/**
 * Canvases that a model cannot tell apart are computed once: those with the same tokens of which
 * everything is read, and those with the same tokens, the same spans and the same keys and values
 * of before. What goes its own way later gets a copy. The results are those of each alone.
 */
final class SharedReading {
  private static final int NONE = -1;

  private final Denoiser denoiser;
  private final Pass shared = new Pass();

  /** The denoiser's canvas that stands for a canvas. */
  private int[] places = new int[0];

  /** The canvas that is read for a canvas in this pass; NONE: it is not in it. */
  private int[] leaders = new int[0];

  private int[] newPlaces = new int[0];
  private boolean[] taken = new boolean[0];
  private int[] rows = new int[0];

  SharedReading(Denoiser denoiser) {
    this.denoiser = denoiser;
  }

  /** Makes room for canvases of which nothing was read. */
  void reserve(int canvases, int length, int tail) {
    denoiser.reserve(canvases, length, tail);
    places = new int[canvases];
    leaders = new int[canvases];
    newPlaces = new int[canvases];
    taken = new boolean[canvases];
    rows = new int[canvases];
    Arrays.setAll(places, canvas -> canvas);
  }

  /** The denoiser's canvas that stands for one of the last pass. */
  int place(int canvas) {
    return places[canvas];
  }

  /** Positions of a canvas that the last pass computed; none where those of another one serve. */
  int rows(int canvas) {
    return rows[canvas];
  }

  /** One forward pass. */
  void read(Pass pass) {
    findLeaders(pass);
    findPlaces(pass);
    shared.clear();
    Arrays.fill(rows, 0);
    for (int span = 0; span < pass.count(); span++) {
      int canvas = pass.canvas(span);
      if (leaders[canvas] == canvas) {
        shared.add(newPlaces[canvas], pass.tokens(span), pass.from(span), pass.to(span));
        rows[canvas] += pass.rows(span);
      }
    }
    denoiser.read(shared);
    for (int canvas = 0; canvas < places.length; canvas++) {
      if (leaders[canvas] != NONE) {
        places[canvas] = newPlaces[leaders[canvas]];
      }
    }
  }

  private void findLeaders(Pass pass) {
    Arrays.fill(leaders, NONE);
    for (int span = 0; span < pass.count(); span++) {
      int canvas = pass.canvas(span);
      if (leaders[canvas] != NONE) {
        continue;
      }
      leaders[canvas] = canvas;
      for (int before = 0; before < span; before++) {
        int other = pass.canvas(before);
        if (leaders[other] == other && isSame(pass, before, span)) {
          leaders[canvas] = other;
          break;
        }
      }
    }
  }

  /** Whether two canvases, each named by its first span, are computed alike. */
  private boolean isSame(Pass pass, int first, int second) {
    int canvas = pass.canvas(first);
    int other = pass.canvas(second);
    if (canvas == other || !Arrays.equals(pass.tokens(first), pass.tokens(second))) {
      return false;
    }
    if (isWhole(pass, first) && isWhole(pass, second)) {
      return true;
    }
    if (places[canvas] != places[other]) {
      return false;
    }
    int a = first;
    int b = second;
    while (a < pass.count() && b < pass.count()) {
      if (pass.from(a) != pass.from(b) || pass.to(a) != pass.to(b)) {
        return false;
      }
      a = next(pass, a);
      b = next(pass, b);
    }
    return a == pass.count() && b == pass.count();
  }

  /** The next span of the same canvas, or the number of spans. */
  private static int next(Pass pass, int span) {
    int next = span + 1;
    while (next < pass.count() && pass.canvas(next) != pass.canvas(span)) {
      next++;
    }
    return next;
  }

  private static boolean isWhole(Pass pass, int span) {
    return pass.rows(span) == pass.tokens(span).length;
  }

  /**
   * Where each leader is read. What others need is not written over: first whoever goes on from
   * keys and values of before keeps their place, then those that want the same ones get copies,
   * then those that need none get what is left.
   */
  private void findPlaces(Pass pass) {
    Arrays.fill(taken, false);
    Arrays.fill(newPlaces, NONE);
    for (int canvas = 0; canvas < places.length; canvas++) {
      if (leaders[canvas] == NONE) {
        taken[places[canvas]] = true;
      }
    }
    for (int span = 0; span < pass.count(); span++) {
      int canvas = pass.canvas(span);
      if (isUnplaced(canvas) && !isWhole(pass, span) && !taken[places[canvas]]) {
        take(canvas, places[canvas]);
      }
    }
    for (int span = 0; span < pass.count(); span++) {
      int canvas = pass.canvas(span);
      if (isUnplaced(canvas) && !isWhole(pass, span)) {
        take(canvas, free());
        denoiser.copy(places[canvas], newPlaces[canvas]);
      }
    }
    for (int span = 0; span < pass.count(); span++) {
      int canvas = pass.canvas(span);
      if (isUnplaced(canvas)) {
        take(canvas, free());
      }
    }
  }

  private boolean isUnplaced(int canvas) {
    return leaders[canvas] == canvas && newPlaces[canvas] == NONE;
  }

  private void take(int canvas, int place) {
    newPlaces[canvas] = place;
    taken[place] = true;
  }

  private int free() {
    int place = 0;
    while (taken[place]) {
      place++;
    }
    return place;
  }
}
