package dev.sylvester.runner.cli;

import dev.sylvester.kernels.Sylvester;
import dev.sylvester.runner.CacheOptions;
import dev.sylvester.runner.Generation;
import dev.sylvester.runner.Model;
import dev.sylvester.runner.ModelOptions;
import dev.sylvester.runner.Session;
import dev.sylvester.runner.eval.Problem;
import dev.sylvester.runner.eval.Score;
import dev.sylvester.runner.eval.Solver;
import dev.sylvester.runner.hub.Catalog;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

@Command(
    name = "demo",
    description = "A small embedded model solves word problems it has never seen.",
    footer = {"", "Example:", "  sylvester demo -n 3"})
final class DemoCommand implements Callable<Integer> {
  private static final int MAX_TOKENS = 256;

  /** Enough to see what the ways cost. */
  private static final int DIFFUSION_PROBLEMS = 2;

  /** A line of the closing table. */
  private record Row(String cache, Score score, long cacheBytesPerToken) {}

  private final Main main;

  @Option(
      names = {"-n", "--problems"},
      paramLabel = "N",
      defaultValue = "5",
      description = "How many problems, 1..500. Default: 5.")
  private int count;

  DemoCommand(Main main) {
    this.main = main;
  }

  @Override
  public Integer call() throws Exception {
    List<Problem> problems = Problem.read(Catalog.embedded("gsm-mini/test.jsonl"));
    if (count < 1 || count > problems.size()) {
      throw new IllegalArgumentException(
          "problems is %d, must be 1..%d".formatted(count, problems.size()));
    }
    try (Model model = Model.load("gsm-mini", ModelOptions.defaults());
        Session plain = model.newSession();
        Session packed = model.newSession(CacheOptions.of("best"))) {
      main.out.printf(
          "GSM-mini (%,d parameters), %d threads, %s kernels%n%n",
          model.describe().parameters(), model.threads(), Sylvester.tier());
      List<Problem> chosen = problems.subList(0, count);
      printTable(List.of(aloud(plain, chosen), quietly(packed, chosen)));
      new DiffusionDemo(main).run(chosen.subList(0, Math.min(count, DIFFUSION_PROBLEMS)));
    }
    return 0;
  }

  /** Everybody can read along. */
  private Row aloud(Session session, List<Problem> problems) {
    Solver solver = Solver.plain(session, MAX_TOKENS);
    Score score = Score.NONE;
    for (Problem problem : problems) {
      main.out.println("Q: " + problem.question());
      main.out.print("A: ");
      Generation generation = solver.solve(problem, this::print);
      boolean right = problem.solvedBy(generation.text());
      main.out.printf(
          Locale.ROOT,
          "%n   %s, %.0f tok/s%n%n",
          right ? "right" : "wrong: it is " + problem.result(),
          generation.decodeTokensPerSecond());
      score = score.plus(right, generation);
    }
    return new Row(session.cache().name(), score, session.cacheUsage().bytesPerToken());
  }

  /** The same problems in another way. */
  private static Row quietly(Session session, List<Problem> problems) {
    Solver solver = Solver.plain(session, MAX_TOKENS);
    Score score = Score.NONE;
    for (Problem problem : problems) {
      Generation generation = solver.solve(problem, piece -> {});
      score = score.plus(problem.solvedBy(generation.text()), generation);
    }
    return new Row(session.cache().name(), score, session.cacheUsage().bytesPerToken());
  }

  private void print(String piece) {
    main.out.print(piece);
    main.out.flush();
  }

  private void printTable(List<Row> rows) {
    main.out.printf("%-12s %8s %10s %18s%n", "cache", "right", "tok/s", "bytes/token");
    for (Row row : rows) {
      main.out.printf(
          Locale.ROOT,
          "%-12s %8s %10.0f %18d%n",
          row.cache(),
          row.score().right() + "/" + row.score().problems(),
          row.score().tokensPerSecond(),
          row.cacheBytesPerToken());
    }
  }
}
