package dev.sylvester.runner.cli;

import dev.sylvester.runner.CacheOptions;
import dev.sylvester.runner.Model;
import dev.sylvester.runner.ModelOptions;
import dev.sylvester.runner.diffusion.CachePolicy;
import dev.sylvester.runner.diffusion.CommitRule;
import dev.sylvester.runner.diffusion.StopRule;
import dev.sylvester.runner.eval.DiffusionComparison;
import dev.sylvester.runner.eval.DiffusionPlot;
import dev.sylvester.runner.eval.DiffusionSetup;
import dev.sylvester.runner.eval.Problem;
import dev.sylvester.runner.hub.Catalog;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

@Command(
    name = "diffusion",
    description =
        "What ways to fill a canvas cost a diffusion model: problems solved, passes, speed.",
    footer = {
      "",
      "A way is a rule of generate --commit, and behind slashes in any order length=N (64), steps=N",
      "(the length), block=N (16), a cache, a stop, kv=NAME or kv=NAME-BITS (f16; packed ones with",
      "the caches none and prefix), and hex=N: canvases with blocks of 8, 16 and 32 (hex=N:8+16+32",
      "names them) and N seeds vote; together=N of them are read at once (all), and all goes on when",
      "the vote is decided. Prophet looks at 3 tokens behind ' ####'. Choose thresholds on problems",
      "of the training set (--data), not on those of the test.",
      "",
      "Example:",
      "  sylvester eval diffusion --limit 100 --ways low-confidence,threshold:0.9/dual --svg a.svg"
    })
final class EvalDiffusionCommand implements Callable<Integer> {
  /** As the embedded model was trained. */
  private static final int LENGTH = 64;

  private static final int BLOCK = 16;
  private static final List<Integer> VOTING = List.of(8, 16, 32);

  private final Main main;

  @Option(
      names = {"-m", "--model"},
      paramLabel = "MODEL",
      defaultValue = "gsm-mini-diffusion",
      description = "A diffusion model that solves word problems. Default: ${DEFAULT-VALUE}.")
  private String name;

  @Option(
      names = "--ways",
      paramLabel = "LIST",
      split = ",(?![0-9.])",
      defaultValue =
          "low-confidence,low-confidence/steps=32,low-confidence/steps=16,margin,entropy,random,"
              + "threshold:0.9,threshold:0.7,factor:1,entropy-bound:0.3,low-confidence/eos,"
              + "low-confidence/prophet,low-confidence/prefix,low-confidence/dual,"
              + "threshold:0.9/prefix,threshold:0.9/dual,threshold:0.9/dual/eos,"
              + "threshold:0.9/dual/prophet",
      description = "The ways. Default: ${DEFAULT-VALUE}.")
  private List<String> ways;

  @Option(
      names = "--limit",
      paramLabel = "N",
      defaultValue = "300",
      description = "Only the first N problems. Default: 300.")
  private int limit;

  @Option(
      names = "--data",
      paramLabel = "FILE",
      description =
          "Problems, a JSON object (question, answer) on each line. Default: GSM-mini's test set.")
  private Path data;

  @Option(names = "--json", description = "Print one JSON object.")
  private boolean json;

  @Option(names = "--svg", paramLabel = "FILE", description = "Draw passes against accuracy.")
  private Path svg;

  @Option(
      names = "--emergence",
      paramLabel = "FILE",
      description = "Draw how early the first way's answers are there, instead of comparing.")
  private Path emergence;

  EvalDiffusionCommand(Main main) {
    this.main = main;
  }

  @Override
  public Integer call() throws Exception {
    List<Problem> problems =
        Problem.read(data == null ? Catalog.embedded("gsm-mini/test.jsonl") : data);
    problems = Problem.first(problems, limit);
    try (Model model = Model.load(name, ModelOptions.defaults());
        TerminalProgress progress = TerminalProgress.counting("Filling", "canvases")) {
      List<DiffusionSetup> setups = ways.stream().map(way -> setup(model, way)).toList();
      if (emergence != null) {
        emergence(model, problems, setups.getFirst(), progress);
        return 0;
      }
      List<DiffusionComparison.Row> rows =
          DiffusionComparison.run(model, problems, setups, progress);
      if (json) {
        Json.print(main.out, Map.of("rows", rows.stream().map(this::object).toList()));
      } else {
        printTable(rows);
      }
      if (svg != null) {
        DiffusionPlot.accuracy(rows, title(model, problems), svg);
      }
    }
    return 0;
  }

  /** A way by its name. */
  static DiffusionSetup setup(Model model, String way) {
    String[] parts = way.split("/");
    CommitRule rule = DiffusionNames.commit(parts[0]);
    Map<String, Integer> numbers =
        new HashMap<>(Map.of("length", LENGTH, "block", BLOCK, "together", 0));
    List<Integer> voting = VOTING;
    boolean early = true;
    CachePolicy cache = CachePolicy.NONE;
    CacheOptions kv = CacheOptions.F16;
    StopRule stop = StopRule.NEVER;
    for (int i = 1; i < parts.length; i++) {
      String part = parts[i];
      if (part.matches("(length|steps|block|together|hex)=\\d{1,9}")) {
        int equals = part.indexOf('=');
        numbers.put(part.substring(0, equals), Integer.parseInt(part.substring(equals + 1)));
      } else if (part.matches("hex=\\d{1,9}:\\d{1,9}(\\+\\d{1,9})*")) {
        String[] hex = part.substring("hex=".length()).split(":");
        numbers.put("hex", Integer.parseInt(hex[0]));
        voting = Arrays.stream(hex[1].split("\\+")).map(Integer::valueOf).toList();
      } else if (part.startsWith("kv=")) {
        kv = EvalKvCommand.kind(part.substring("kv=".length()));
      } else if (part.equals("all")) {
        early = false;
      } else if (DiffusionNames.isCache(part)) {
        cache = DiffusionNames.cache(part);
      } else {
        stop = DiffusionNames.stop(part, DiffusionSetup.answer(model), model.endTokens());
      }
    }
    int length = numbers.get("length");
    int steps = numbers.getOrDefault("steps", length);
    Integer seeds = numbers.get("hex");
    if (seeds == null && (!early || numbers.get("together") > 0)) {
      throw new IllegalArgumentException(
          "way is '%s', but all and together say how hex=N votes".formatted(way));
    }
    DiffusionSetup.Vote vote =
        seeds == null
            ? null
            : new DiffusionSetup.Vote(voting, seeds, numbers.get("together"), early);
    return new DiffusionSetup(
        way, length, numbers.get("block"), steps, vote, rule, stop, cache, kv);
  }

  private void emergence(
      Model model, List<Problem> problems, DiffusionSetup setup, TerminalProgress progress)
      throws Exception {
    if (setup.rule().adaptive() || setup.vote() != null) {
      throw new IllegalArgumentException(
          "way is '%s', but --emergence needs one canvas and a rule with a fixed number of steps"
              .formatted(setup.name()));
    }
    double[] shares = DiffusionComparison.emergence(model, problems, setup, progress);
    DiffusionPlot.emergence(shares, title(model, problems), emergence);
    if (json) {
      Json.print(main.out, Map.of("shares", shares));
      return;
    }
    main.out.printf("%-8s %s%n", "steps", "right already");
    for (int i = 0; i <= 8; i++) {
      main.out.printf(
          Locale.ROOT, "%5.1f %%  %.1f %%%n", 12.5 * i, 100 * shares[i * (shares.length - 1) / 8]);
    }
  }

  private static String title(Model model, List<Problem> problems) {
    return "%s, %d problems".formatted(model.path().getFileName(), problems.size());
  }

  private void printTable(List<DiffusionComparison.Row> rows) {
    main.out.printf("%-36s %9s %8s %9s %9s%n", "way", "right", "passes", "rows", "tok/s");
    for (DiffusionComparison.Row row : rows) {
      main.out.printf(
          Locale.ROOT,
          "%-36s %9s %8.1f %9.0f %9.1f%n",
          row.setup().name(),
          row.right() + "/" + row.problems(),
          row.meanPasses(),
          (double) row.rows() / row.problems(),
          row.tokensPerSecond());
    }
  }

  private Map<String, Object> object(DiffusionComparison.Row row) {
    Map<String, Object> object = new LinkedHashMap<>();
    object.put("way", row.setup().name());
    object.put("right", row.right());
    object.put("problems", row.problems());
    object.put("accuracy", row.accuracy());
    object.put("passes", row.meanPasses());
    object.put("rows", (double) row.rows() / row.problems());
    object.put("tok_s", row.tokensPerSecond());
    return object;
  }
}
