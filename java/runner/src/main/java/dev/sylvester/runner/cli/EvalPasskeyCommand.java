package dev.sylvester.runner.cli;

import dev.sylvester.runner.Model;
import dev.sylvester.runner.Session;
import dev.sylvester.runner.eval.Passkey;
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
    name = "passkey",
    description = "Whether a model finds a number again in a long text.",
    footer = {
      "",
      "The number is told once, at some depth of a text that says nothing else; the model has to"
          + " say",
      "it at the end. Texts are made up; always the most probable token.",
      "",
      "Example:",
      "  sylvester eval passkey -m smollm2 --kv best --lengths 1024,4096"
    })
final class EvalPasskeyCommand implements Callable<Integer> {
  private final Main main;

  @Mixin private ModelArguments model;

  @Option(
      names = "--lengths",
      paramLabel = "LIST",
      split = ",",
      defaultValue = "256,512,1024",
      description = "Tokens of the text. Default: ${DEFAULT-VALUE}.")
  private List<Integer> lengths;

  @Option(
      names = "--depths",
      paramLabel = "LIST",
      split = ",",
      defaultValue = "0,0.25,0.5,0.75,1",
      description =
          "Where the number is, 0: at the beginning, 1: at the end. Default: ${DEFAULT-VALUE}.")
  private List<Double> depths;

  @Option(
      names = "--trials",
      paramLabel = "N",
      defaultValue = "5",
      description = "Numbers for each length and depth. Default: 5.")
  private int trials;

  @Option(names = "--json", description = "Print one JSON object.")
  private boolean json;

  private record Cell(int length, double depth, int found) {}

  EvalPasskeyCommand(Main main) {
    this.main = main;
  }

  @Override
  public Integer call() throws Exception {
    if (trials < 1) {
      throw new IllegalArgumentException("trials is %d, must be at least 1".formatted(trials));
    }
    if (depths.stream().anyMatch(depth -> !(depth >= 0 && depth <= 1))) {
      throw new IllegalArgumentException("depths are %s, must be 0..1".formatted(depths));
    }
    List<Cell> cells = new ArrayList<>();
    int most = lengths.stream().mapToInt(Integer::intValue).max().orElseThrow();
    try (Model opened = model.openUpTo(Math.max(1, most));
        Session session = opened.newSession();
        TerminalProgress progress = TerminalProgress.counting("Asking", "texts")) {
      Passkey passkey = new Passkey(session);
      long all = (long) lengths.size() * depths.size() * trials;
      long done = 0;
      for (int length : lengths) {
        for (double depth : depths) {
          int found = 0;
          for (int trial = 0; trial < trials; trial++) {
            found += passkey.found(length, depth, trial) ? 1 : 0;
            progress.update(++done, all);
          }
          cells.add(new Cell(length, depth, found));
        }
      }
    }
    if (json) {
      Json.print(main.out, Map.of("cells", cells.stream().map(this::object).toList()));
    } else {
      printTable(cells);
    }
    return 0;
  }

  private Map<String, Object> object(Cell cell) {
    Map<String, Object> object = new LinkedHashMap<>();
    object.put("length", cell.length());
    object.put("depth", cell.depth());
    object.put("found", cell.found());
    object.put("trials", trials);
    return object;
  }

  private void printTable(List<Cell> cells) {
    main.out.printf("%8s", "length");
    depths.forEach(depth -> main.out.printf(Locale.ROOT, " %8.2f", depth));
    main.out.println();
    for (int i = 0; i < cells.size(); i++) {
      if (i % depths.size() == 0) {
        main.out.printf("%8d", cells.get(i).length());
      }
      main.out.printf(" %8s", cells.get(i).found() + "/" + trials);
      if ((i + 1) % depths.size() == 0) {
        main.out.println();
      }
    }
  }
}
