package dev.sylvester.runner.cli;

import dev.sylvester.runner.Generation;
import dev.sylvester.runner.Model;
import dev.sylvester.runner.eval.Problem;
import dev.sylvester.runner.eval.Score;
import dev.sylvester.runner.eval.Solver;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import picocli.CommandLine.Option;

/** How many problems are solved, and how it is told. */
final class ScoreArguments {
  @Option(
      names = "--limit",
      paramLabel = "N",
      description = "Only the first N problems. Default: all.")
  Integer limit;

  @Option(names = "--json", description = "Print one JSON object.")
  boolean json;

  List<Problem> limited(List<Problem> problems) {
    return limit == null ? problems : Problem.first(problems, limit);
  }

  void run(Main main, Model model, Solver solver, List<Problem> problems) {
    Score score = Score.NONE;
    try (TerminalProgress progress = TerminalProgress.counting("Solving", "problems")) {
      for (Problem problem : problems) {
        Generation generation = solver.solve(problem, piece -> {});
        score = score.plus(problem.solvedBy(generation.text()), generation);
        progress.update(score.problems(), problems.size());
      }
    }
    print(main, model, score);
  }

  private void print(Main main, Model model, Score score) {
    if (!json) {
      main.out.printf(
          Locale.ROOT,
          "%d of %d right, %.1f %%, %.1f tok/s%n",
          score.right(),
          score.problems(),
          100 * score.accuracy(),
          score.tokensPerSecond());
      return;
    }
    Map<String, Object> object = new LinkedHashMap<>();
    object.put("accuracy", score.accuracy());
    object.put("right", score.right());
    object.put("problems", score.problems());
    object.put("decode_tok_s", score.tokensPerSecond());
    object.put("kv_bytes_per_token", model.cacheBytesPerToken());
    Json.print(main.out, object);
  }
}
