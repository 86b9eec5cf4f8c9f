package dev.sylvester.runner;

import dev.sylvester.kernels.spec.DraftSource;
import dev.sylvester.kernels.spec.SpecOptions;
import dev.sylvester.kernels.spec.SpecStats;
import dev.sylvester.kernels.spec.Speculation;
import dev.sylvester.kernels.spec.TargetModel;
import dev.sylvester.kernels.spec.Text;
import dev.sylvester.runner.spec.TargetText;
import java.util.Objects;
import java.util.function.IntPredicate;

/**
 * Continues prompts in a session with a draft's help. What was learned of costs and acceptance
 * stays from one request to the next while sampler and end tokens stay the same. One thread at a
 * time.
 *
 * <pre>{@code
 * try (Speculator speculator =
 *     Speculator.of(session, Drafts.model(draftSession, model), SpecOptions.of(EXACT, options))) {
 *   System.out.println(speculator.generate(request).text()); // as session.generate(request) gives
 * }
 * }</pre>
 */
public final class Speculator implements AutoCloseable {
  private final Session session;
  private final TargetModel target;
  private final DraftSource source;
  private SpecOptions options;
  private Speculation speculation;
  private Text text;

  private Speculator(Session session, DraftSource source, SpecOptions options) {
    this.session = session;
    this.target = new TargetText(session.evaluator(), session.model().config().vocabSize());
    this.source = source;
    this.options = options;
  }

  /**
   * Speculation for a session, which stays the caller's, as the source does.
   *
   * @param source proposes candidates; see {@link Drafts}
   * @param options how; sampler, bias and end tokens are those of a request
   */
  public static Speculator of(Session session, DraftSource source, SpecOptions options) {
    return new Speculator(session, Objects.requireNonNull(source, "source"), options);
  }

  /**
   * Continues a prompt, as {@link Session#generate} does.
   *
   * @throws IllegalArgumentException when the prompt does not fit the context
   */
  public Generation generate(GenerationRequest request) {
    SpecOptions wanted =
        new SpecOptions(
            options.mode(),
            request.sampler().options(),
            request.sampler().bias(),
            request.endTokens(),
            options.rule(),
            options.predictor(),
            options.gate(),
            options.nodes());
    if (speculation == null || !wanted.equals(options)) {
      close();
      speculation = Speculation.of(target, source, wanted, session.model().pool());
      options = wanted;
    }
    return session.generate(request, this);
  }

  void begin(int[] prompt) {
    text = new Text(prompt);
    source.prepare(text);
  }

  int decode(int maxTokens, IntPredicate consumer) {
    return speculation.generate(text, maxTokens, consumer);
  }

  /**
   * What was done since sampler or end tokens changed last.
   *
   * @throws IllegalStateException before the first request
   */
  public SpecStats stats() {
    if (speculation == null) {
      throw new IllegalStateException("nothing was generated yet");
    }
    return speculation.stats();
  }

  @Override
  public void close() {
    if (speculation != null) {
      speculation.close();
      speculation = null;
    }
  }
}
