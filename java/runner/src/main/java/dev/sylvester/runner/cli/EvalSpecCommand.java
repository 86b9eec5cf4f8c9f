package dev.sylvester.runner.cli;

import dev.sylvester.kernels.SpecMode;
import dev.sylvester.kernels.spec.SpecOptions;
import dev.sylvester.kernels.spec.SpecStats;
import dev.sylvester.kernels.spec.StopRule;
import dev.sylvester.runner.GenerationRequest;
import dev.sylvester.runner.Model;
import dev.sylvester.runner.Sampler;
import dev.sylvester.runner.Session;
import dev.sylvester.runner.eval.Problem;
import dev.sylvester.runner.eval.SpecComparison;
import dev.sylvester.runner.eval.SpecPlot;
import dev.sylvester.runner.hub.Catalog;
import dev.sylvester.runner.text.Message;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
    name = "spec",
    description =
        "What speculation brings: lengths of drafts, rules, modes, against plain decoding.",
    footer = {
      "",
      "Every prompt is continued plainly and with each setting in turn. A line tells tokens a second,",
      "the speed-up, tokens a pass, the share of accepted candidates, candidates thrown away and",
      "passes for each token, and what E[tau] / (1 + vK + cK + o) allows with the costs measured;",
      "differing: texts that are not the plain ones, which exact and greedy must not have.",
      "",
      "Examples:",
      "  sylvester eval spec --draft gsm-mini-draft --limit 300 --svg gsm",
      "  sylvester eval spec --draft gsm-mini-draft --temperature 1 --modes exact,token,block",
      "  sylvester eval spec -m smollm2 --draft ngram --data prompts.jsonl --chat --rules cost"
    })
final class EvalSpecCommand implements Callable<Integer> {
  // SpecDec++ (arXiv 2405.19715), GSM8K, Llama 2 7B for 70B: its h, and what it reports.
  private static final double PAPER_COST = 0.2;
  private static final double PAPER_CONSTANT = 2.07;
  private static final double PAPER_ADAPTIVE = 2.26;

  private final Main main;

  @Mixin private ModelArguments model;

  @Option(
      names = "--draft",
      paramLabel = "DRAFT",
      required = true,
      description = "A smaller model, ngram, ngram+MODEL or skip:N.")
  private String draft;

  @Option(
      names = "--accept-head",
      paramLabel = "FILE",
      description = "Acceptance head. Default: the one that comes with the draft, if any.")
  private Path head;

  @Option(
      names = "--tree",
      paramLabel = "SHAPE",
      description = "Draft trees, as generate does; then lengths and rules are of no use.")
  private String tree;

  @Option(
      names = "--lengths",
      paramLabel = "LIST",
      split = ",",
      defaultValue = "1,2,3,4,6,8,12",
      description = "Constant lengths. Default: ${DEFAULT-VALUE}.")
  private List<Integer> lengths;

  @Option(
      names = "--thresholds",
      paramLabel = "LIST",
      split = ",",
      defaultValue = "0.1,0.3,0.5,0.7,0.9",
      description = "SpecDec++'s h. Default: ${DEFAULT-VALUE}.")
  private List<Double> thresholds;

  @Option(
      names = "--rules",
      paramLabel = "LIST",
      split = ",",
      defaultValue = "cost,heuristic,confidence",
      description =
          "Other rules: cost (with the gate), heuristic (+2, -1), confidence (0.4). Default:"
              + " ${DEFAULT-VALUE}.")
  private List<String> rules;

  @Option(
      names = "--modes",
      paramLabel = "LIST",
      split = ",",
      description = "exact, token, block, greedy. Default: exact.")
  private List<SpecMode> modes = List.of(SpecMode.EXACT);

  @Option(
      names = "--temperature",
      paramLabel = "T",
      defaultValue = "0",
      description = "Randomness. Default: 0.")
  private float temperature;

  @Option(
      names = "--seed",
      paramLabel = "N",
      defaultValue = "0",
      description = "Of the random numbers. Default: 0.")
  private long seed;

  @Option(
      names = "--data",
      paramLabel = "FILE",
      description = "Prompts, a JSON object (question, answer) on each line. Default: GSM-mini's.")
  private Path data;

  @Option(names = "--chat", description = "Put prompts into the model's chat template.")
  private boolean chat;

  @Option(
      names = {"-n", "--max-tokens"},
      paramLabel = "N",
      defaultValue = "256",
      description = "Most tokens of a text. Default: 256.")
  private int maxTokens;

  @Option(
      names = "--limit",
      paramLabel = "N",
      defaultValue = "100",
      description = "Only the first N prompts. Default: 100.")
  private int limit;

  @Option(names = "--json", description = "Print one JSON object.")
  private boolean json;

  @Option(
      names = "--svg",
      paramLabel = "PREFIX",
      description = "Draw PREFIX-plane.svg (discarded, verified) and PREFIX-speed.svg.")
  private String svg;

  EvalSpecCommand(Main main) {
    this.main = main;
  }

  @Override
  public Integer call() throws Exception {
    List<Problem> problems =
        Problem.first(
            Problem.read(data == null ? Catalog.embedded("gsm-mini/test.jsonl") : data), limit);
    if (problems.isEmpty()) {
      throw new IllegalArgumentException(data + " has no prompts");
    }
    try (Model opened = model.open();
        Session session = opened.newSession();
        Drafting drafting = Drafting.open(draft, head, tree, opened);
        TerminalProgress progress = TerminalProgress.counting("Continuing", "prompts")) {
      List<GenerationRequest> requests =
          problems.stream().map(problem -> request(opened, problem)).toList();
      List<SpecComparison.Row> rows =
          new SpecComparison(session, drafting.source(session), settings(drafting))
              .run(requests, progress);
      if (json) {
        Json.print(main.out, object(rows));
      } else {
        printTable(rows);
      }
      if (svg != null) {
        draw(rows);
      }
    }
    return 0;
  }

  private GenerationRequest request(Model opened, Problem problem) {
    int[] prompt =
        chat
            ? ChatPrompt.tokens(opened, List.of(new Message("user", problem.question())))
            : opened.tokenizer().encode(problem.question(), true);
    return GenerationRequest.of(opened, prompt, maxTokens)
        .withSampler(Sampler.of(temperature, seed));
  }

  private List<SpecComparison.Setting> settings(Drafting drafting) {
    List<SpecComparison.Setting> settings = new ArrayList<>();
    for (SpecMode mode : modes) {
      if (tree != null) {
        add(settings, tree, drafting.options(mode, new StopRule.Constant(Drafting.MOST)));
        continue;
      }
      for (int length : lengths) {
        add(settings, "K=" + length, drafting.options(mode, new StopRule.Constant(length)));
      }
      for (double h : thresholds) {
        add(
            settings,
            "h=" + h,
            drafting.options(mode, new StopRule.Threshold(h, Drafting.LEAST, Drafting.MOST)));
      }
      for (String rule : rules) {
        add(settings, rule, drafting.options(mode, rule(rule)));
      }
    }
    return settings;
  }

  private static void add(List<SpecComparison.Setting> settings, String name, SpecOptions options) {
    settings.add(new SpecComparison.Setting(name, options));
  }

  private static StopRule rule(String name) {
    return switch (name.strip().toLowerCase(Locale.ROOT)) {
      case "cost" -> new StopRule.Cost(1, Drafting.MOST);
      case "heuristic" -> new StopRule.Heuristic(5, Drafting.MOST);
      case "confidence" -> new StopRule.Confidence(0.4, 1, Drafting.MOST);
      default ->
          throw new IllegalArgumentException(
              "rule is '%s', must be cost, heuristic or confidence".formatted(name));
    };
  }

  private void printTable(List<SpecComparison.Row> rows) {
    main.out.printf(
        Locale.ROOT,
        "plain: %.1f tok/s%n%n%-6s %-10s %8s %8s %7s %9s %9s %8s %8s %7s %6s %10s%n",
        rows.getFirst().plainPerSecond(),
        "mode",
        "rule",
        "tok/s",
        "speed-up",
        "K",
        "tok/pass",
        "accepted",
        "discard",
        "verify",
        "bound",
        "of it",
        "differing");
    for (SpecComparison.Row row : rows) {
      SpecStats stats = row.stats();
      main.out.printf(
          Locale.ROOT,
          "%-6s %-10s %8.1f %8.3f %7.2f %9.2f %8.1f%% %8.3f %8.3f %7.3f %6.2f %10s%n",
          mode(row),
          row.setting().name(),
          row.tokensPerSecond(),
          row.speedup(),
          (double) stats.drafted() / stats.rounds(),
          stats.tokensPerPass(),
          100 * stats.acceptanceRate(),
          stats.discardRate(),
          stats.verifyRate(),
          row.bound(),
          row.speedup() / row.bound(),
          mustBeSame(row) ? Integer.toString(row.differing()) : "-");
    }
    printPaper(rows);
  }

  private static String mode(SpecComparison.Row row) {
    return row.setting().options().mode().toString().toLowerCase(Locale.ROOT);
  }

  private boolean mustBeSame(SpecComparison.Row row) {
    SpecMode mode = row.setting().options().mode();
    return temperature == 0 || mode == SpecMode.EXACT;
  }

  /** The rates of this pair at the costs of the paper's. */
  private void printPaper(List<SpecComparison.Row> rows) {
    main.out.printf(
        Locale.ROOT,
        "%nThese rates where a candidate costs %.1f of a pass (Llama 2 7B for 70B): constant K"
            + " %.2f (the paper: %.2f), h %.2f (the paper: %.2f)%n",
        PAPER_COST,
        best(rows, StopRule.Constant.class),
        PAPER_CONSTANT,
        best(rows, StopRule.Threshold.class),
        PAPER_ADAPTIVE);
  }

  private static double best(List<SpecComparison.Row> rows, Class<? extends StopRule> kind) {
    return rows.stream()
        .filter(row -> kind.isInstance(row.setting().options().rule()))
        .mapToDouble(row -> row.speedupAt(PAPER_COST))
        .max()
        .orElse(Double.NaN);
  }

  private Map<String, Object> object(List<SpecComparison.Row> rows) {
    Map<String, Object> object = new LinkedHashMap<>();
    object.put("plain_tok_s", rows.getFirst().plainPerSecond());
    object.put("rows", rows.stream().map(this::object).toList());
    object.put("paper_cost", PAPER_COST);
    object.put("constant_at_paper_cost", Json.measured(best(rows, StopRule.Constant.class)));
    object.put("h_at_paper_cost", Json.measured(best(rows, StopRule.Threshold.class)));
    return object;
  }

  private Map<String, Object> object(SpecComparison.Row row) {
    Map<String, Object> object = new LinkedHashMap<>();
    object.put("mode", mode(row));
    object.put("rule", row.setting().name());
    object.put("decode_tok_s", row.tokensPerSecond());
    object.put("speedup", row.speedup());
    object.put("bound", Json.measured(row.bound()));
    object.put("alpha", Json.measured(row.acceptance()));
    object.put("c", Json.measured(row.draftCost()));
    object.put("v", Json.measured(row.rowCost()));
    object.put("o", Json.measured(row.overhead()));
    object.put("verify_rate", Json.measured(row.stats().verifyRate()));
    object.put("ece", Json.measured(row.stats().ece()));
    object.put("differing", mustBeSame(row) ? row.differing() : null);
    object.put("spec", Json.object(row.stats()));
    return object;
  }

  private void draw(List<SpecComparison.Row> rows) throws IOException {
    Map<String, List<SpecComparison.Row>> families = new LinkedHashMap<>();
    for (SpecComparison.Row row : rows) {
      StopRule rule = row.setting().options().rule();
      String kind =
          switch (rule) {
            case StopRule.Constant c -> "constant K";
            case StopRule.Threshold t -> "h";
            default -> row.setting().name();
          };
      families.computeIfAbsent(mode(row) + ", " + kind, key -> new ArrayList<>()).add(row);
    }
    SpecPlot.plane(families, Path.of(svg + "-plane.svg"));
    SpecPlot.speed(families, Path.of(svg + "-speed.svg"));
  }
}
