package dev.sylvester.runner.cli;

import dev.sylvester.runner.Session;

/** Times the forward pass; token number i is {@code (i * 7919 + 1) mod vocabulary}. */
final class SpeedTest {
  private static final int STRIDE = 7919;

  private final Session session;

  SpeedTest(Session session) {
    this.session = session;
  }

  /**
   * What to time.
   *
   * @param prefill many tokens at once rather than one by one
   * @param size tokens to prefill, or tokens cached before the first step
   * @param tokens tokens that are timed
   */
  record Request(boolean prefill, int size, int tokens) {
    static Request ofPrefill(int size) {
      return new Request(true, size, size);
    }

    static Request ofDecode(int depth, int steps) {
      return new Request(false, depth, steps);
    }

    static Request parse(String line) {
      String[] words = line.strip().split("\\s+");
      try {
        if (words.length == 2 && words[0].equals("prefill")) {
          return ofPrefill(Integer.parseInt(words[1])).checked(line);
        }
        if (words.length == 3 && words[0].equals("decode")) {
          return ofDecode(Integer.parseInt(words[1]), Integer.parseInt(words[2])).checked(line);
        }
      } catch (NumberFormatException e) {
        // Told below, as other mistakes are.
      }
      throw bad(line);
    }

    private Request checked(String line) {
      if (size < 0 || tokens < 1) {
        throw bad(line);
      }
      return this;
    }

    private static IllegalArgumentException bad(String line) {
      return new IllegalArgumentException(
          "request is '%s', must be 'prefill N' or 'decode C T'".formatted(line));
    }

    @Override
    public String toString() {
      return prefill ? "prefill " + size : "decode " + size + " " + tokens;
    }
  }

  /** Runs it once. What fills the cache beforehand is not timed. */
  double seconds(Request request) {
    int[] tokens = new int[request.tokens()];
    int first = request.prefill() ? 0 : request.size();
    fill(first);
    for (int i = 0; i < tokens.length; i++) {
      tokens[i] = token(first + i);
    }
    long start = System.nanoTime();
    if (request.prefill()) {
      session.append(tokens);
    } else {
      for (int token : tokens) {
        session.append(token);
      }
    }
    return (System.nanoTime() - start) * 1e-9;
  }

  /** Makes the session hold exactly so many tokens. */
  private void fill(int length) {
    if (session.position() > length) {
      session.truncate(length);
    }
    int[] missing = new int[length - session.position()];
    for (int i = 0; i < missing.length; i++) {
      missing[i] = token(session.position() + i);
    }
    if (missing.length > 0) {
      session.append(missing);
    }
  }

  private int token(int index) {
    return (int) (((long) index * STRIDE + 1) % session.model().config().vocabSize());
  }
}
