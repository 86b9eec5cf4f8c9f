package dev.sylvester.runner.cli;

import dev.sylvester.runner.Model;
import dev.sylvester.runner.Session;
import dev.sylvester.runner.eval.Problem;
import dev.sylvester.runner.eval.Solver;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
    name = "gsm8k",
    description = "Share of GSM8K's problems that a model solves.",
    footer = {
      "",
      "Files have an object with question and answer on each line. The prompt is",
      "'Question: ... Answer:', behind some solved ones with --shots; the answer is what stands",
      "behind the first ####; always the most probable token.",
      "",
      "Example:",
      "  sylvester eval gsm8k -m smollm2 --data test.jsonl --shots train.jsonl --limit 50"
    })
final class EvalGsm8kCommand implements Callable<Integer> {
  private static final int MAX_TOKENS = 256;

  private final Main main;

  @Mixin private ModelArguments model;
  @Mixin private ScoreArguments score;

  @Option(
      names = "--data",
      paramLabel = "FILE",
      required = true,
      description = "The problems; a checkout has tests/data/gsm8k/test.jsonl.")
  private Path data;

  @Option(
      names = "--shots",
      paramLabel = "FILE",
      description = "Solved problems to show first. Default: none.")
  private Path shots;

  @Option(
      names = "--shot-count",
      paramLabel = "N",
      defaultValue = "5",
      description = "How many of them. Default: 5.")
  private int shotCount;

  EvalGsm8kCommand(Main main) {
    this.main = main;
  }

  @Override
  public Integer call() throws Exception {
    List<Problem> problems = score.limited(Problem.read(data));
    List<Problem> solved = shots == null ? List.of() : Problem.read(shots);
    if (shots != null && (shotCount < 1 || shotCount > solved.size())) {
      throw new IllegalArgumentException(
          "shot count is %d, must be 1..%d".formatted(shotCount, solved.size()));
    }
    List<Problem> shown = shots == null ? solved : solved.subList(0, shotCount);
    try (Model opened = model.open();
        Session session = opened.newSession()) {
      score.run(main, opened, Solver.fewShot(session, MAX_TOKENS, shown), problems);
    }
    return 0;
  }
}
