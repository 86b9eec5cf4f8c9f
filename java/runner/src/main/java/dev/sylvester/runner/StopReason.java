package dev.sylvester.runner;

import java.util.Locale;

/** Why a generation ended. */
public enum StopReason {
  /** The model produced an end token. */
  EOS,
  /** A stop string appeared. */
  STOP,
  /** The requested number of tokens was reached. */
  LENGTH,
  /** Prompt and answer fill the context. */
  CONTEXT;

  /** Lower case, as in JSON. */
  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}
