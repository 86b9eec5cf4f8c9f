package dev.sylvester.runner.diffusion;

import java.util.BitSet;
import java.util.Set;

/** Where the answer stands that {@link Prophet} waits for. */
public interface AnswerRegion {

  /**
   * Refuses a canvas.
   *
   * @throws IllegalArgumentException when the region is not on it
   */
  default void check(Canvas canvas) {}

  /** Adds the positions whose predictions it wants to see. */
  void watch(Decoding decoding, Predictions wanted);

  /** Its first position now; -1: not yet known. */
  int from(Predictions predictions, Decoding decoding);

  /** Its end. */
  int to(int from, Predictions predictions, Decoding decoding);

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
    BitSet tokens = new BitSet();
    ends.forEach(tokens::set);
    return new Rest(tokens);
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
      int from = from(wanted, decoding);
      for (int i = from; i < to(from, wanted, decoding); i++) {
        wanted.add(i);
      }
    }

    @Override
    public int from(Predictions predictions, Decoding decoding) {
      return decoding.canvas().promptLength() + offset;
    }

    @Override
    public int to(int from, Predictions predictions, Decoding decoding) {
      return length < 0 ? decoding.canvas().tokens().length : from + length;
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
      int known = search(null, decoding);
      int from = known < 0 ? decoding.canvas().promptLength() : known;
      int to = known < 0 ? decoding.canvas().tokens().length : known + length;
      for (int i = from; i < to; i++) {
        wanted.add(i);
      }
    }

    @Override
    public int from(Predictions predictions, Decoding decoding) {
      int known = search(null, decoding);
      return known < 0 ? search(predictions, decoding) : known;
    }

    @Override
    public int to(int from, Predictions predictions, Decoding decoding) {
      return from + length;
    }

    private int search(Predictions predictions, Decoding decoding) {
      int end = decoding.canvas().tokens().length - length;
      for (int i = decoding.canvas().promptLength(); i + marker.length <= end; i++) {
        if (isAt(i, predictions, decoding)) {
          return i + marker.length;
        }
      }
      return -1;
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
  record Rest(BitSet ends) implements AnswerRegion {
    @Override
    public void watch(Decoding decoding, Predictions wanted) {
      for (int i = decoding.canvas().promptLength(); i < decoding.canvas().tokens().length; i++) {
        wanted.add(i);
      }
    }

    @Override
    public int from(Predictions predictions, Decoding decoding) {
      return Math.max(decoding.firstMask(), decoding.canvas().promptLength());
    }

    @Override
    public int to(int from, Predictions predictions, Decoding decoding) {
      int length = decoding.canvas().tokens().length;
      int to = from;
      while (to < length && !ends.get(decoding.bestToken(to, predictions))) {
        to++;
      }
      // The end itself must be sure, too.
      return Math.min(length, to + 1);
    }
  }
}
