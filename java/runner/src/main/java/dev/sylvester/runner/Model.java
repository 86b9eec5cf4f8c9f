package dev.sylvester.runner;

import dev.sylvester.kernels.KvPlan;
import dev.sylvester.kernels.ThreadPool;
import dev.sylvester.runner.diffusion.Denoiser;
import dev.sylvester.runner.format.ModelConfig;
import dev.sylvester.runner.format.ModelFile;
import dev.sylvester.runner.format.Tensor;
import dev.sylvester.runner.hub.Catalog;
import dev.sylvester.runner.hub.Progress;
import dev.sylvester.runner.layers.AdapterSet;
import dev.sylvester.runner.layers.PackedAdapter;
import dev.sylvester.runner.layers.TextBatch;
import dev.sylvester.runner.layers.TextCaches;
import dev.sylvester.runner.layers.Weights;
import dev.sylvester.runner.text.Tokenizer;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;

/**
 * An open model: weights, tokenizer and threads. Thread-safe; everything it holds outside the heap
 * is freed by {@link #close}.
 *
 * <pre>{@code
 * try (Model model = Model.load("gsm-mini", ModelOptions.defaults());
 *     Session session = model.newSession()) {
 *   int[] prompt = model.tokenizer().encode("Ann has 3 coins. ...", true);
 *   System.out.println(session.generate(GenerationRequest.of(model, prompt, 128)).text());
 * }
 * }</pre>
 */
public final class Model implements AutoCloseable {
  private final ModelFile file;
  private final Weights weights;
  private final List<Adapter> adapters;
  private final int context;
  private final Tokenizer tokenizer;
  private final Arena arena;
  private final ThreadPool pool;
  private final ModelCaches caches;
  private final Set<Session> sessions = Collections.synchronizedSet(new HashSet<>());
  private final Set<Denoiser> denoisers = Collections.synchronizedSet(new HashSet<>());

  Model(
      ModelFile file,
      Weights weights,
      List<Adapter> adapters,
      int context,
      Tokenizer tokenizer,
      Arena arena,
      ThreadPool pool,
      ModelCaches caches) {
    this.file = file;
    this.weights = weights;
    this.adapters = adapters;
    this.context = context;
    this.tokenizer = tokenizer;
    this.arena = arena;
    this.pool = pool;
    this.caches = caches;
  }

  /**
   * Opens a model by name.
   *
   * @param name an alias of {@link Catalog}, a file or a folder
   * @throws IllegalArgumentException when there is none, or the options do not suit it
   * @throws dev.sylvester.runner.format.ModelFormatException when it is malformed
   */
  public static Model load(String name, ModelOptions options) {
    return load(Catalog.resolve(name), options);
  }

  /**
   * Opens a model.
   *
   * @param path a .gguf file, a .safetensors file with its config.json beside it, or a folder
   * @throws IllegalArgumentException when the options do not suit the model
   * @throws dev.sylvester.runner.format.ModelFormatException when it is malformed
   */
  public static Model load(Path path, ModelOptions options) {
    return ModelLoader.load(path, options);
  }

  /** Its file or folder. */
  public Path path() {
    return file.path();
  }

  /** Its configuration. */
  public ModelConfig config() {
    return file.config();
  }

  /** What is added to its weights. */
  public List<Adapter> adapters() {
    return adapters;
  }

  /** Its tokenizer and chat template. */
  public Tokenizer tokenizer() {
    return tokenizer;
  }

  /** Tokens that end a text: those of its configuration and those of its tokenizer. */
  public Set<Integer> endTokens() {
    Set<Integer> tokens = new HashSet<>(tokenizer.eos());
    tokens.addAll(config().eosIds());
    return tokens;
  }

  /** Threads of its pool. */
  public int threads() {
    return pool.threads();
  }

  ThreadPool pool() {
    return pool;
  }

  /** Tokens a session holds. */
  public int context() {
    return context;
  }

  /** Bytes of keys and values that one token adds to a session. */
  public long cacheBytesPerToken() {
    return caches.of(caches.options(), this).bytesPerToken();
  }

  /**
   * Makes a plan of packed caches from texts like those that will be read.
   *
   * @param options the kind of caches, a preset
   * @param samples tokens of texts, each read on its own; 256 tokens in all or more
   * @param progress told about tokens
   * @return the plan, which the caller closes
   */
  public KvPlan calibrate(CacheOptions options, List<int[]> samples, Progress progress) {
    requireOpen();
    return caches.calibrate(options, samples, progress);
  }

  /** An empty text. Close it before the model; closing the model closes it too. */
  public Session newSession() {
    return newSession(caches.options());
  }

  /**
   * An empty text with another cache than the model's own.
   *
   * @throws IllegalArgumentException when the model cannot have it
   */
  public Session newSession(CacheOptions options) {
    requireOpen();
    return session(options, caches.of(options, this));
  }

  Session session(CacheOptions options, TextCaches kind) {
    return opened(new Session(this, options, kind, kind.newText()));
  }

  /**
   * What a diffusion model predicts for canvases. Close it before the model; closing the model
   * closes it too.
   *
   * @throws IllegalArgumentException when the model is none, or cannot have its cache
   */
  public Denoiser newDenoiser() {
    return newDenoiser(caches.options());
  }

  /**
   * The same with another cache than the model's own. Packed ones go together with {@link
   * dev.sylvester.runner.diffusion.CachePolicy#PREFIX} and {@code NONE}.
   *
   * @throws IllegalArgumentException when the model is none, or cannot have it
   */
  public Denoiser newDenoiser(CacheOptions cache) {
    requireOpen();
    if (!config().bidirectional()) {
      throw new IllegalArgumentException(
          "%s is no diffusion model: its tokens see only those before them".formatted(path()));
    }
    if (config().maskId() < 0) {
      throw new IllegalArgumentException("%s tells no mask token".formatted(path()));
    }
    Denoiser denoiser = new ModelDenoiser(this, caches.newCanvases(cache));
    denoisers.add(denoiser);
    return denoiser;
  }

  void closed(Denoiser denoiser) {
    denoisers.remove(denoiser);
  }

  /** What the cache {@code auto} has chosen for this model; empty when nobody asked for it. */
  public Optional<String> autoCache() {
    return caches.autoChoice();
  }

  Session resume(CacheOptions options, int[] tokens, int sinkRows, MemorySegment cache)
      throws IOException {
    requireOpen();
    TextCaches kind = caches.of(options, this);
    return opened(new Session(this, options, kind, kind.loadText(tokens, sinkRows, cache)));
  }

  /**
   * Appends one token to each of several sessions in one pass, in which they share each read of the
   * weights. Their adapters may differ. Each gets what {@link Session#append(int)} would give it.
   *
   * @param texts sessions of this model with the same cache options, none of them twice, none empty
   * @param tokens one for each
   * @throws IllegalArgumentException when the sessions are not such, or a context is full
   */
  public void appendEach(List<Session> texts, int[] tokens) {
    requireOpen();
    if (texts.isEmpty()
        || tokens.length != texts.size()
        || Set.copyOf(texts).size() != tokens.length) {
      throw new IllegalArgumentException(
          "there are %d tokens for %d sessions, of which %d differ"
              .formatted(tokens.length, texts.size(), new HashSet<>(texts).size()));
    }
    for (Session text : texts) {
      if (text.model() != this || !text.cache().equals(texts.getFirst().cache())) {
        throw new IllegalArgumentException("the sessions are of different models or caches");
      }
      if (text.position() == 0) {
        throw new IllegalArgumentException("a session is empty: it has to read its prompt first");
      }
    }
    TextBatch.append(texts.stream().map(Session::evaluator).toList(), tokens);
  }

  PackedAdapter pack(Path adapter) {
    requireOpen();
    return ModelLoader.pack(adapter, file, weights, Arena.ofAuto(), pool);
  }

  AdapterMix mix(List<Adapter> of, List<PackedAdapter> packed) {
    List<AdapterSet.Scaled> scaled = new ArrayList<>();
    for (int i = 0; i < packed.size(); i++) {
      scaled.add(new AdapterSet.Scaled(packed.get(i), of.get(i).scale()));
    }
    return new AdapterMix(this, of, AdapterSet.of(scaled, weights));
  }

  /** The same for the same model and adapters, whatever their files are called. */
  String fingerprint(List<Adapter> with) {
    return ModelFingerprint.of(file, with);
  }

  Session opened(Session session) {
    sessions.add(session);
    return session;
  }

  private void requireOpen() {
    if (!arena.scope().isAlive()) {
      throw new IllegalStateException("the model is closed");
    }
  }

  void closed(Session session) {
    sessions.remove(session);
  }

  /** What it is. */
  public ModelDescription describe() {
    Map<String, Long> types =
        file.tensors().stream()
            .collect(
                Collectors.groupingBy(
                    t -> t.type().toString(), TreeMap::new, Collectors.counting()));
    return new ModelDescription(
        config().architecture(),
        path().toString(),
        file.tensors().stream().mapToLong(Tensor::elements).sum(),
        types,
        file.bytes(),
        context,
        config().contextLength(),
        cacheBytesPerToken());
  }

  /** Frees everything, sessions included. A second call does nothing. */
  @Override
  public void close() {
    if (!arena.scope().isAlive()) {
      return;
    }
    List.copyOf(sessions).forEach(Session::close);
    List.copyOf(denoisers).forEach(Denoiser::close);
    caches.close();
    pool.close();
    arena.close();
    tokenizer.close();
    file.close();
  }
}
