package dev.sylvester.runner.eval;

import dev.sylvester.runner.Generation;
import dev.sylvester.runner.GenerationRequest;
import dev.sylvester.runner.Model;
import dev.sylvester.runner.Session;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.Function;

/** Has a model solve word problems, always with the most probable token. */
public final class Solver {
  private static final String QUESTION = "Question: ";
  private static final String ANSWER = "\nAnswer:";

  private final Model model;
  private final Function<GenerationRequest, Generation> generator;
  private final int maxTokens;
  private final String before;
  private final String after;
  private final List<String> stops;

  private Solver(
      Model model,
      Function<GenerationRequest, Generation> generator,
      int maxTokens,
      String before,
      String after,
      List<String> stops) {
    this.model = model;
    this.generator = generator;
    this.maxTokens = maxTokens;
    this.before = before;
    this.after = after;
    this.stops = stops;
  }

  /** For a model that was trained on problems: its prompt is the question. */
  public static Solver plain(Session session, int maxTokens) {
    return plain(session.model(), session::generate, maxTokens);
  }

  /** The same with another way to generate. */
  public static Solver plain(
      Model model, Function<GenerationRequest, Generation> generator, int maxTokens) {
    return new Solver(model, generator, maxTokens, "", "", List.of());
  }

  /** For any other model, which is shown solved problems first. */
  public static Solver fewShot(Session session, int maxTokens, List<Problem> shots) {
    StringBuilder before = new StringBuilder();
    for (Problem shot : shots) {
      before.append(QUESTION).append(shot.question());
      before.append(ANSWER).append(' ').append(shot.answer()).append("\n\n");
    }
    before.append(QUESTION);
    return new Solver(
        session.model(),
        session::generate,
        maxTokens,
        before.toString(),
        ANSWER,
        List.of(QUESTION.strip()));
  }

  /**
   * Solves one.
   *
   * @param stream gets the solution piece by piece
   */
  public Generation solve(Problem problem, Consumer<String> stream) {
    int[] prompt = model.tokenizer().encode(before + problem.question() + after, true);
    return generator.apply(
        GenerationRequest.of(model, prompt, maxTokens).withStopStrings(stops).withStream(stream));
  }
}
