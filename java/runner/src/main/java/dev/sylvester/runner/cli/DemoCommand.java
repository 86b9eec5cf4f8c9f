package dev.sylvester.runner.cli;

import dev.sylvester.kernels.SpecMode;
import dev.sylvester.kernels.Sylvester;
import dev.sylvester.kernels.spec.DraftSource;
import dev.sylvester.kernels.spec.SpecOptions;
import dev.sylvester.kernels.spec.StopRule;
import dev.sylvester.runner.CacheOptions;
import dev.sylvester.runner.Generation;
import dev.sylvester.runner.Model;
import dev.sylvester.runner.ModelOptions;
import dev.sylvester.runner.Session;
import dev.sylvester.runner.Speculator;
import dev.sylvester.runner.eval.Problem;
import dev.sylvester.runner.eval.Score;
import dev.sylvester.runner.eval.Solver;
import dev.sylvester.runner.hub.Catalog;
import java.util.ArrayList;
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
  private static final int CANDIDATES = 4;
  private static final double REJECTION = 0.2; // probability of one that ends a draft

  /** A line of the closing table. */
  private record Row(String name, Score score, long cacheBytesPerToken, double tokensPerPass) {}

  private final Main main;

  @Option(
      names = {"-n", "--problems"},
      paramLabel = "N",
      defaultValue = "5",
      description = "How many problems, 1..500; twice as many for diffusion. Default: 5.")
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
        Drafting drafting = Drafting.open("gsm-mini-draft", null, null, model);
        Session plain = model.newSession();
        Session packed = model.newSession(CacheOptions.of("best"))) {
      main.out.printf(
          "GSM-mini (%,d parameters), %d threads, %s kernels%n%n",
          model.describe().parameters(), model.threads(), Sylvester.tier());
      List<Problem> chosen = problems.subList(0, count);
      List<Row> rows = new ArrayList<>();
      rows.add(aloud(plain, chosen));
      rows.add(quietly(packed, chosen));
      DraftSource source = drafting.source(plain);
      StopRule constant = new StopRule.Constant(CANDIDATES);
      rows.add(
          drafted("draft, K=" + CANDIDATES, plain, source, options(drafting, constant), chosen));
      StopRule adaptive = new StopRule.Threshold(REJECTION, Drafting.LEAST, Drafting.MOST);
      rows.add(drafted("SpecDec++", plain, source, options(drafting, adaptive), chosen));
      printTable(rows);
      new DiffusionDemo(main).run(problems.subList(0, Math.min(2 * count, problems.size())));
    }
    return 0;
  }

  private static SpecOptions options(Drafting drafting, StopRule rule) {
    return drafting.options(SpecMode.EXACT, rule).withGate(false);
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
    return new Row(session.cache().name(), score, session.cacheUsage().bytesPerToken(), 1);
  }

  /** The same problems with another cache. */
  private static Row quietly(Session session, List<Problem> problems) {
    Score score = solve(Solver.plain(session, MAX_TOKENS), problems);
    return new Row(session.cache().name(), score, session.cacheUsage().bytesPerToken(), 1);
  }

  /** The same problems with a draft, and the same answers. */
  private static Row drafted(
      String name,
      Session session,
      DraftSource source,
      SpecOptions options,
      List<Problem> problems) {
    try (Speculator speculator = Speculator.of(session, source, options)) {
      Solver solver = Solver.plain(session.model(), speculator::generate, MAX_TOKENS);
      Score score = solve(solver, problems);
      double tokensPerPass = speculator.stats().tokensPerPass();
      return new Row(name, score, session.cacheUsage().bytesPerToken(), tokensPerPass);
    }
  }

  private static Score solve(Solver solver, List<Problem> problems) {
    Score score = Score.NONE;
    for (Problem problem : problems) {
      Generation generation = solver.solve(problem, piece -> {});
      score = score.plus(problem.solvedBy(generation.text()), generation);
    }
    return score;
  }

  private void print(String piece) {
    main.out.print(piece);
    main.out.flush();
  }

  private void printTable(List<Row> rows) {
    main.out.printf(
        "%-12s %8s %10s %18s %18s%n", "cache", "right", "tok/s", "bytes/token", "tokens a pass");
    for (Row row : rows) {
      main.out.printf(
          Locale.ROOT,
          "%-12s %8s %10.0f %18d %18.2f%n",
          row.name(),
          row.score().right() + "/" + row.score().problems(),
          row.score().tokensPerSecond(),
          row.cacheBytesPerToken(),
          row.tokensPerPass());
    }
  }
}
