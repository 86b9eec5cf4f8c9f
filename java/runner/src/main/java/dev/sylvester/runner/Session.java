package dev.sylvester.runner;

import dev.sylvester.kernels.KvMemory;
import dev.sylvester.runner.layers.Evaluator;
import dev.sylvester.runner.layers.TextCaches;
import dev.sylvester.runner.text.Message;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;

/**
 * One text that a model reads and continues. Its keys and values stay in a cache: a request whose
 * prompt begins as the text does pays only for the rest. Results never depend on what was cached or
 * on how tokens were grouped, with one exception: a packed cache that keeps the most important
 * tokens of a prompt exactly (the preset {@code rotatekv}) chooses them in the first append. One
 * thread at a time; sessions of one model may be used concurrently.
 */
public final class Session implements AutoCloseable {
  private final Model model;
  private final CacheOptions cache;
  private final TextCaches caches;
  private final Evaluator evaluator;
  private List<Adapter> adapters;

  Session(Model model, CacheOptions cache, TextCaches caches, Evaluator evaluator) {
    this.model = model;
    this.cache = cache;
    this.caches = caches;
    this.evaluator = evaluator;
    this.adapters = model.adapters();
  }

  /** The model. */
  public Model model() {
    return model;
  }

  /** What is added to the model's weights. */
  public List<Adapter> adapters() {
    return adapters;
  }

  /**
   * Forgets all tokens and reads the next ones with other adapters, in place of those it had.
   *
   * @throws IllegalArgumentException when they were packed for another model
   */
  public void adapt(AdapterMix mix) {
    if (mix.model != null && mix.model != model) {
      throw new IllegalArgumentException(
          "the adapters are of a bank of %s, not of %s".formatted(mix.model.path(), model.path()));
    }
    evaluator.adapt(mix.set);
    adapters = mix.adapters();
  }

  /** Number of tokens so far. */
  public int position() {
    return evaluator.position();
  }

  /** Most tokens. */
  public int context() {
    return evaluator.context();
  }

  /** The tokens so far. */
  public int[] tokens() {
    int[] tokens = new int[position()];
    for (int i = 0; i < tokens.length; i++) {
      tokens[i] = evaluator.token(i);
    }
    return tokens;
  }

  /**
   * Appends a token; {@link #logits()} then predict the one after it.
   *
   * @throws IllegalArgumentException when the context is full
   */
  public void append(int token) {
    evaluator.append(token);
  }

  /**
   * Appends tokens; {@link #logits()} then predict the one after the last.
   *
   * @throws IllegalArgumentException when there are none or they do not fit the context
   */
  public void append(int[] tokens) {
    evaluator.append(tokens, 0, tokens.length);
  }

  /**
   * Appends tokens and hands out the logits of every one.
   *
   * @throws IllegalArgumentException when there are none or they do not fit the context
   */
  public void append(int[] tokens, LogitsConsumer consumer) {
    evaluator.append(tokens, consumer::accept);
  }

  /**
   * Logits of the last appended token, vocabulary-many floats outside the heap; overwritten by the
   * next append.
   */
  public MemorySegment logits() {
    return evaluator.logits();
  }

  /**
   * What the logits handed out last were made of: the hidden states behind the final norm, row
   * after row; overwritten by the next append.
   */
  public MemorySegment hidden() {
    return evaluator.hidden();
  }

  /** Forgets all tokens but the first {@code length}; they need not be read again. */
  public void truncate(int length) {
    evaluator.truncate(length);
  }

  /** Forgets all tokens. */
  public void reset() {
    evaluator.truncate(0);
  }

  /**
   * Continues a prompt. Afterwards the session holds prompt and answer, except that the last token
   * was not yet read.
   *
   * @throws IllegalArgumentException when the prompt does not fit the context
   * @throws UnsupportedOperationException for a bidirectional model, which has no next token
   */
  public Generation generate(GenerationRequest request) {
    return generate(request, null);
  }

  Generation generate(GenerationRequest request, Speculator speculator) {
    if (model.config().bidirectional()) {
      throw new UnsupportedOperationException(
          "%s is bidirectional: it has no next token; Model.newDenoiser fills canvases"
              .formatted(model.path()));
    }
    try (Generator generator = new Generator(model, evaluator, request, speculator)) {
      return generator.run();
    }
  }

  /**
   * Another session that begins with this one's tokens. Packed caches share the memory of these;
   * floats are copied.
   */
  public Session fork() {
    Session fork = model.opened(new Session(model, cache, caches, evaluator.fork()));
    fork.adapters = adapters;
    return fork;
  }

  /**
   * Writes it to a file, as a whole or not at all; {@link SavedSession#open} reads it.
   *
   * @param messages what was said, if this is a conversation
   * @throws IOException when it cannot be written
   * @throws IllegalArgumentException when the cache is of floats
   */
  public void save(Path file, List<Message> messages) throws IOException {
    if (cache.floats()) {
      throw new IllegalArgumentException(
          "a session with %s in its cache is not saved; packed ones are".formatted(cache));
    }
    SavedSession.write(file, this, messages);
  }

  Evaluator evaluator() {
    return evaluator;
  }

  MemorySegment saveCache(Arena arena) {
    return evaluator.saveCache(arena);
  }

  int sinkRows() {
    return evaluator.sinkRows();
  }

  /** How its keys and values are kept. */
  public CacheOptions cache() {
    return cache;
  }

  /** What its keys and values take up. */
  public CacheUsage cacheUsage() {
    KvMemory memory = evaluator.memory();
    return new CacheUsage(
        cache.name(),
        caches.bytesPerToken(),
        caches.bitsKeys(),
        caches.bitsValues(),
        memory.ratioVsF16(),
        memory.sinkTokens(),
        memory.codesBytes(),
        memory.paramsBytes(),
        memory.totalBytes());
  }

  @Override
  public void close() {
    evaluator.close();
    model.closed(this);
  }
}
