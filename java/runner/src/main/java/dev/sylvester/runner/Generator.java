package dev.sylvester.runner;

import dev.sylvester.kernels.Sampler;
import dev.sylvester.kernels.Workspace;
import dev.sylvester.runner.layers.Evaluator;
import dev.sylvester.runner.text.StopMatcher;
import dev.sylvester.runner.text.TokenStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Map;

/** One run of the decode loop, which allocates nothing but the text it streams. */
final class Generator implements AutoCloseable {
  private final Evaluator evaluator;
  private final GenerationRequest request;
  private final Speculator speculator;
  private final int vocabSize;
  private final int[] endTokens;
  private final int[] generated;
  private final StringBuilder text = new StringBuilder();
  private final TokenStream stream;
  private final StopMatcher stops;
  private final Arena arena = Arena.ofConfined();
  private final Workspace workspace = new Workspace();
  private final Sampler sampler;
  private final boolean usesHistory;
  private final int biasCount;
  private final MemorySegment biasIds;
  private final MemorySegment biasValues;
  private int count;
  private int steps;
  private StopReason reason;

  /**
   * A run.
   *
   * @param speculator made ready for the request, or null
   */
  Generator(Model model, Evaluator evaluator, GenerationRequest request, Speculator speculator) {
    this.evaluator = evaluator;
    this.request = request;
    this.speculator = speculator;
    this.vocabSize = model.config().vocabSize();
    this.endTokens = request.endTokens().stream().mapToInt(Integer::intValue).toArray();
    int room = evaluator.context() - request.prompt().length;
    if (room < 0) {
      throw new IllegalArgumentException(
          "the prompt has %,d tokens, the context holds %,d"
              .formatted(request.prompt().length, evaluator.context()));
    }
    this.generated = new int[Math.min(request.maxTokens(), room)];
    this.stream = model.tokenizer().continuation();
    this.stops = new StopMatcher(request.stopStrings());
    this.sampler = Sampler.of(request.sampler().options(), arena);
    this.usesHistory = request.sampler().usesHistory();
    Map<Integer, Float> bias = request.sampler().bias();
    this.biasCount = bias.size();
    this.biasIds = arena.allocate(ValueLayout.JAVA_INT, biasCount);
    this.biasValues = arena.allocate(ValueLayout.JAVA_FLOAT, biasCount);
    int i = 0;
    for (Map.Entry<Integer, Float> entry : bias.entrySet()) {
      biasIds.setAtIndex(ValueLayout.JAVA_INT, i, entry.getKey());
      biasValues.setAtIndex(ValueLayout.JAVA_FLOAT, i++, entry.getValue());
    }
  }

  Generation run() {
    long start = System.nanoTime();
    int cached = readPrompt();
    long prompted = System.nanoTime();
    if (speculator == null) {
      decode();
    } else {
      steps = speculator.decode(generated.length, this::take);
    }
    if (reason == null) {
      reason = count == request.maxTokens() ? StopReason.LENGTH : StopReason.CONTEXT;
    }
    emit(stops.add(stream.finish()));
    emit(stops.finish());
    long end = System.nanoTime();
    return new Generation(
        text.toString(),
        Arrays.copyOf(generated, count),
        request.prompt().length,
        cached,
        reason,
        (prompted - start) * 1e-9,
        (end - prompted) * 1e-9,
        steps);
  }

  /**
   * Keeps what the session already holds of the prompt; the last token's logits are always new.
   * With speculation the last token stays unread: the first round reads it together with
   * candidates.
   */
  private int readPrompt() {
    int[] prompt = request.prompt();
    int common = 0;
    int most = Math.min(evaluator.position(), prompt.length - 1);
    while (common < most && evaluator.token(common) == prompt[common]) {
      common++;
    }
    evaluator.truncate(common);
    int cached = evaluator.cached();
    if (evaluator.choosesSinks() && cached == 0 && prompt.length > 1) {
      // Without the last token, which is read again when the same prompt is continued once more.
      evaluator.truncate(0);
      common = prompt.length - 1;
      evaluator.append(prompt, 0, common);
    }
    int end = speculator == null ? prompt.length : prompt.length - 1;
    if (common < end) {
      evaluator.append(prompt, common, end);
    }
    if (speculator != null) {
      speculator.begin(prompt);
    }
    return cached;
  }

  private void decode() {
    while (count < generated.length && take(sample()) && count < generated.length) {
      evaluator.append(generated[count - 1]);
      steps++;
    }
  }

  /** Takes the next token; whether to go on. */
  private boolean take(int token) {
    if (isEnd(token)) {
      reason = StopReason.EOS;
      return false;
    }
    generated[count++] = token;
    emit(stops.add(stream.add(token)));
    if (stops.match().isPresent()) {
      reason = StopReason.STOP;
      return false;
    }
    return true;
  }

  private int sample() {
    int length = request.prompt().length + count;
    return sampler.sample(
        evaluator.logits(),
        vocabSize,
        evaluator.tokens(),
        usesHistory ? length : 0,
        biasIds,
        biasValues,
        biasCount,
        length,
        workspace);
  }

  private boolean isEnd(int token) {
    for (int end : endTokens) {
      if (end == token) {
        return true;
      }
    }
    return false;
  }

  private void emit(String piece) {
    if (!piece.isEmpty()) {
      text.append(piece);
      request.stream().accept(piece);
    }
  }

  @Override
  public void close() {
    workspace.close();
    arena.close();
  }
}
