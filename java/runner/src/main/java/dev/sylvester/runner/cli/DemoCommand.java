package dev.sylvester.runner.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.sylvester.kernels.Sylvester;
import dev.sylvester.runner.Generation;
import dev.sylvester.runner.GenerationRequest;
import dev.sylvester.runner.Model;
import dev.sylvester.runner.ModelOptions;
import dev.sylvester.runner.Session;
import dev.sylvester.runner.hub.Catalog;
import java.io.IOException;
import java.nio.file.Files;
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
  private static final ObjectMapper MAPPER = new ObjectMapper();
  private static final int MAX_TOKENS = 256;

  private record Problem(String question, String answer) {
    /** What stands behind the last {@code ####}. */
    static String result(String solution) {
      int mark = solution.lastIndexOf("####");
      return mark < 0 ? "" : solution.substring(mark + 4).strip();
    }
  }

  /** A line of the closing table. */
  private record Row(
      String way, int right, int problems, double tokensPerSecond, long cacheBytesPerToken) {}

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
    List<Problem> problems = problems();
    if (count < 1 || count > problems.size()) {
      throw new IllegalArgumentException(
          "problems is %d, must be 1..%d".formatted(count, problems.size()));
    }
    try (Model model = Model.load("gsm-mini", ModelOptions.defaults());
        Session session = model.newSession()) {
      main.out.printf(
          "GSM-mini (%,d parameters), %d threads, %s kernels%n%n",
          model.describe().parameters(), model.threads(), Sylvester.tier());
      printTable(List.of(plain(model, session, problems.subList(0, count))));
    }
    return 0;
  }

  private List<Problem> problems() throws IOException {
    List<Problem> problems = new ArrayList<>();
    for (String line : Files.readAllLines(Catalog.embedded("gsm-mini/test.jsonl"))) {
      problems.add(MAPPER.readValue(line, Problem.class));
    }
    return problems;
  }

  /** One token after the other, always the most probable one. */
  private Row plain(Model model, Session session, List<Problem> problems) {
    int right = 0;
    int steps = 0;
    double seconds = 0;
    for (Problem problem : problems) {
      main.out.println("Q: " + problem.question());
      main.out.print("A: ");
      int[] prompt = model.tokenizer().encode(problem.question(), true);
      Generation generation =
          session.generate(GenerationRequest.of(model, prompt, MAX_TOKENS).withStream(this::print));
      boolean correct = Problem.result(generation.text()).equals(Problem.result(problem.answer()));
      main.out.printf(
          Locale.ROOT,
          "%n   %s, %.0f tok/s%n%n",
          correct ? "right" : "wrong: it is " + Problem.result(problem.answer()),
          generation.decodeTokensPerSecond());
      right += correct ? 1 : 0;
      steps += generation.decodeSteps();
      seconds += generation.decodeSeconds();
    }
    double rate = seconds == 0 ? 0 : steps / seconds;
    return new Row("plain", right, problems.size(), rate, model.cacheBytesPerToken());
  }

  private void print(String piece) {
    main.out.print(piece);
    main.out.flush();
  }

  private void printTable(List<Row> rows) {
    main.out.printf("%-12s %8s %10s %18s%n", "decoding", "right", "tok/s", "cache bytes/token");
    for (Row row : rows) {
      main.out.printf(
          Locale.ROOT,
          "%-12s %8s %10.0f %18d%n",
          row.way(),
          row.right() + "/" + row.problems(),
          row.tokensPerSecond(),
          row.cacheBytesPerToken());
    }
  }
}
