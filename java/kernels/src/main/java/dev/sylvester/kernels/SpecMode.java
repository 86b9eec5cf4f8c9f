package dev.sylvester.kernels;

/** What verification of a draft's candidates promises; see {@code sylvester/spec.h}. */
public enum SpecMode {
  /** The largest logit wins; the text is the one that plain decoding gives. */
  GREEDY,
  /** The sampler's own draws: the same seed gives the text that plain decoding gives. */
  EXACT,
  /** Acceptance with min(1, p / q), token by token: the text's law is that of plain decoding. */
  TOKEN,
  /** As TOKEN, prefixes as a whole: never fewer accepted candidates on average. Chains only. */
  BLOCK
}
