package dev.sylvester.kernels.spec;

import java.util.Arrays;

/**
 * The suffix automaton of a growing text (Blumer et al. 1985): finds the longest suffix that has
 * occurred before, and where it did last. A token costs constant time on average, but for the
 * suffixes no longer than a limit: those that have occurred before are visited.
 *
 * <p>A state stands for the substrings that end at the same places; its link leads to the state of
 * their longest suffixes that end at more places.
 */
final class SuffixAutomaton {
  private static final int NONE = -1;
  private static final int ROOT = 0;

  private final int most;

  private int[] length = new int[64]; // of a state's longest substring
  private int[] link = new int[64];
  private int[] end = new int[64]; // last place where its substrings end, if they are not too long
  private int[] firstEdge = new int[64];
  private int states;

  private int[] edgeState = new int[64];
  private int[] edgeToken = new int[64];
  private int[] edgeTarget = new int[64];
  private int[] nextEdge = new int[64]; // of the same state
  private int edges;
  private int[] table = new int[256]; // of edges by state and token; NONE: free

  private int last; // state of the whole text
  private int suffix; // state of its suffix of suffixLength
  private int suffixLength; // the limit, or the text's length
  private int matchLength;
  private int matchEnd;

  /** An automaton that tells suffixes up to so many tokens. */
  SuffixAutomaton(int most) {
    this.most = most;
    clear();
  }

  /** Forgets the text. */
  void clear() {
    states = 0;
    edges = 0;
    Arrays.fill(table, NONE);
    last = newState(0);
    link[last] = NONE;
    suffix = ROOT;
    suffixLength = 0;
    matchLength = 0;
  }

  /** Length of the longest suffix, up to the limit, that the text had before; 0: none. */
  int matchLength() {
    return matchLength;
  }

  /** Number of tokens up to the end of its last occurrence before. */
  int matchEnd() {
    return matchEnd;
  }

  /** Appends a token to the text. */
  void append(int token) {
    extend(token);
    // Where the suffix's state was split both parts have the same edges.
    suffix = edgeTarget[edge(suffix, token)];
    if (suffixLength < most) {
      suffixLength++;
    }
    while (length[link[suffix]] >= suffixLength) {
      suffix = link[suffix];
    }
    // The whole text's state has occurred here only.
    int match = suffix == last ? link[last] : suffix;
    matchLength = Math.min(length[match], suffixLength);
    matchEnd = end[match];
    for (int state = suffix; state != ROOT; state = link[state]) {
      end[state] = length[last];
    }
  }

  private void extend(int token) {
    int state = newState(length[last] + 1);
    int from = last;
    last = state;
    while (from != NONE && edge(from, token) == NONE) {
      addEdge(from, token, state);
      from = link[from];
    }
    if (from == NONE) {
      link[state] = ROOT;
      return;
    }
    int target = edgeTarget[edge(from, token)];
    int parent = length[target] == length[from] + 1 ? target : split(from, token, target);
    link[state] = parent; // after the split, which may move the array
  }

  /** Takes from a state its substrings that now end at more places than the others. */
  private int split(int from, int token, int target) {
    int clone = newState(length[from] + 1);
    link[clone] = link[target];
    link[target] = clone;
    end[clone] = end[target];
    for (int edge = firstEdge[target]; edge != NONE; edge = nextEdge[edge]) {
      addEdge(clone, edgeToken[edge], edgeTarget[edge]);
    }
    for (int state = from; state != NONE; state = link[state]) {
      int edge = edge(state, token);
      if (edgeTarget[edge] != target) {
        break;
      }
      edgeTarget[edge] = clone;
    }
    return clone;
  }

  private int newState(int substring) {
    if (states == length.length) {
      int capacity = 2 * states;
      length = Arrays.copyOf(length, capacity);
      link = Arrays.copyOf(link, capacity);
      end = Arrays.copyOf(end, capacity);
      firstEdge = Arrays.copyOf(firstEdge, capacity);
    }
    length[states] = substring;
    firstEdge[states] = NONE;
    return states++;
  }

  private void addEdge(int state, int token, int target) {
    if (edges == edgeState.length) {
      int capacity = 2 * edges;
      edgeState = Arrays.copyOf(edgeState, capacity);
      edgeToken = Arrays.copyOf(edgeToken, capacity);
      edgeTarget = Arrays.copyOf(edgeTarget, capacity);
      nextEdge = Arrays.copyOf(nextEdge, capacity);
      table = new int[4 * capacity];
      Arrays.fill(table, NONE);
      for (int edge = 0; edge < edges; edge++) {
        table[slot(edgeState[edge], edgeToken[edge])] = edge;
      }
    }
    edgeState[edges] = state;
    edgeToken[edges] = token;
    edgeTarget[edges] = target;
    nextEdge[edges] = firstEdge[state];
    firstEdge[state] = edges;
    table[slot(state, token)] = edges++;
  }

  private int edge(int state, int token) {
    return table[slot(state, token)];
  }

  /** Where an edge is in the table, or would be. */
  private int slot(int state, int token) {
    long hash = (state * 0x9E3779B97F4A7C15L + token) * 0xC2B2AE3D27D4EB4FL;
    int slot = (int) (hash >>> 32) & (table.length - 1);
    while (table[slot] != NONE
        && (edgeState[table[slot]] != state || edgeToken[table[slot]] != token)) {
      slot = (slot + 1) & (table.length - 1);
    }
    return slot;
  }
}
