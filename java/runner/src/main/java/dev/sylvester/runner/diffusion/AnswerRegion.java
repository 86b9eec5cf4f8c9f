package dev.sylvester.runner.diffusion;

import java.util.Set;

/** Where the answer stands that {@link Prophet} waits for. */
public interface AnswerRegion {

  /** Positions {@code from <= i < to} of the canvas; empty: not yet known. */
  record Range(int from, int to) {
    static final Range NONE = new Range(0, 0);
  }

  /**
   * Refuses a canvas.
   *
   * @throws IllegalArgumentException when the region is not on it
   */
  default void check(Canvas canvas) {}

  /** Adds the positions whose predictions it wants to see. */
  void watch(Decoding decoding, Predictions wanted);

  /** Where it is now. */
  Range find(Predictions predictions, Decoding decoding);

  /** A fixed place, as behind a constraint: offsets count from the end of the prompt. */
  static AnswerRegion at(int offset, int length) {
    return new Fixed(offset, length);
  }

  /**
   * The tokens behind a marker, wherever the canvas has it, as known or as the most probable
   * tokens.
   */
  static AnswerRegion behind(int[] marker, int length) {
    return new Behind(marker, length);
  }

  /** From the first unknown position to the first end token, as predicted now. */
  static AnswerRegion rest(Set<Integer> ends) {
    return new Rest(Set.copyOf(ends));
  }

  /** The whole generated part. */
  static AnswerRegion whole() {
    return new Fixed(0, -1);
  }

  /** A fixed place; length -1: to the end. */
  record Fixed(int offset, int length) implements AnswerRegion {
    @Override
    public void check(Canvas canvas) {
      if (length == 0 || length < -1) {
        throw new IllegalArgumentException(
            "the answer region's length is %d, must be at least 1".formatted(length));
      }
      if (offset < 0 || offset + Math.max(1, length) > canvas.length()) {
        throw new IllegalArgumentException(
            "the answer region is at %d..%d, the generated part at 0..%d"
                .formatted(offset, offset + length - 1, canvas.length() - 1));
      }
    }

    @Override
    public void watch(Decoding decoding, Predictions wanted) {
      Range range = range(decoding.canvas());
      for (int i = range.from(); i < range.to(); i++) {
        wanted.add(i);
      }
    }

    @Override
    public Range find(Predictions predictions, Decoding decoding) {
      return range(decoding.canvas());
    }

    private Range range(Canvas canvas) {
      int from = canvas.promptLength() + offset;
      return new Range(from, length < 0 ? canvas.tokens().length : from + length);
    }
  }

  /** Behind a marker. */
  record Behind(int[] marker, int length) implements AnswerRegion {
    @Override
    public void check(Canvas canvas) {
      if (marker.length == 0 || length < 1 || marker.length + length > canvas.length()) {
        throw new IllegalArgumentException(
            "%d tokens behind a marker of %d do not fit the %d of the generated part"
                .formatted(length, marker.length, canvas.length()));
      }
    }

    @Override
    public void watch(Decoding decoding, Predictions wanted) {
      Range known = search(null, decoding);
      boolean found = known != Range.NONE;
      int from = found ? known.from() : decoding.canvas().promptLength();
      int to = found ? known.to() : decoding.canvas().tokens().length;
      for (int i = from; i < to; i++) {
        wanted.add(i);
      }
    }

    @Override
    public Range find(Predictions predictions, Decoding decoding) {
      Range known = search(null, decoding);
      return known == Range.NONE ? search(predictions, decoding) : known;
    }

    private Range search(Predictions predictions, Decoding decoding) {
      int end = decoding.canvas().tokens().length - length;
      for (int i = decoding.canvas().promptLength(); i + marker.length <= end; i++) {
        if (isAt(i, predictions, decoding)) {
          return new Range(i + marker.length, i + marker.length + length);
        }
      }
      return Range.NONE;
    }

    private boolean isAt(int position, Predictions predictions, Decoding decoding) {
      for (int i = 0; i < marker.length; i++) {
        if (decoding.bestToken(position + i, predictions) != marker[i]) {
          return false;
        }
      }
      return true;
    }
  }

  /** What is still unknown and not behind the end. */
  record Rest(Set<Integer> ends) implements AnswerRegion {
    @Override
    public void watch(Decoding decoding, Predictions wanted) {
      for (int i = decoding.canvas().promptLength(); i < decoding.canvas().tokens().length; i++) {
        wanted.add(i);
      }
    }

    @Override
    public Range find(Predictions predictions, Decoding decoding) {
      int from = Math.max(decoding.firstMask(), decoding.canvas().promptLength());
      int to = from;
      int length = decoding.canvas().tokens().length;
      while (to < length && !ends.contains(decoding.bestToken(to, predictions))) {
        to++;
      }
      // The end itself must be sure, too.
      return new Range(from, Math.min(length, to + 1));
    }
  }
}
