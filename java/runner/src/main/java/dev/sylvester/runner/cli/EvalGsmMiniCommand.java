package dev.sylvester.runner.cli;

import dev.sylvester.runner.Model;
import dev.sylvester.runner.Session;
import dev.sylvester.runner.eval.Problem;
import dev.sylvester.runner.eval.Solver;
import dev.sylvester.runner.hub.Catalog;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
    name = "gsm-mini",
    description = "Share of GSM-mini's 500 test problems, or of others, that a model solves.",
    footer = {
      "",
      "The prompt is the question, the answer what stands behind ####; always the most probable",
      "token.",
      "",
      "Example:",
      "  sylvester eval gsm-mini --limit 300 --json"
    })
final class EvalGsmMiniCommand implements Callable<Integer> {
  /** More than any solution needs. */
  private static final int MAX_TOKENS = 256;

  private final Main main;

  @Mixin private ModelArguments model;
  @Mixin private ScoreArguments score;

  @Option(
      names = "--data",
      paramLabel = "FILE",
      description =
          "Other problems, a JSON object (question, answer) on each line. Default: GSM-mini's.")
  private Path data;

  EvalGsmMiniCommand(Main main) {
    this.main = main;
  }

  @Override
  public Integer call() throws Exception {
    Path file = data == null ? Catalog.embedded("gsm-mini/test.jsonl") : data;
    List<Problem> problems = score.limited(Problem.read(file));
    try (Model opened = model.open();
        Session session = opened.newSession()) {
      score.run(main, opened, Solver.plain(session, MAX_TOKENS), problems);
    }
    return 0;
  }
}
