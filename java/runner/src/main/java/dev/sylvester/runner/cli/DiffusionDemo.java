package dev.sylvester.runner.cli;

import dev.sylvester.runner.Model;
import dev.sylvester.runner.ModelOptions;
import dev.sylvester.runner.eval.DiffusionComparison;
import dev.sylvester.runner.eval.DiffusionSetup;
import dev.sylvester.runner.eval.Problem;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/** The part of the demo that fills canvases. */
final class DiffusionDemo {
  /** Tokens of a canvas: nearly all solutions are shorter. */
  private static final String LENGTH = "/length=96";

  /** What a row is called, and the way it means. */
  private enum Way {
    FULL("full steps", "low-confidence"),
    HALF("half the steps", "low-confidence/steps=48"),
    PROPHET("Prophet", "low-confidence/prophet:12,10,8"),
    THRESHOLD("threshold 0.95", "threshold:0.95"),
    CACHED("threshold + cache", "threshold:0.95/dual"),
    VOTE("vote of 6", "threshold:0.95/dual/hex=2");

    final String title;
    final String way;

    Way(String title, String way) {
      this.title = title;
      this.way = way;
    }
  }

  private final Main main;

  DiffusionDemo(Main main) {
    this.main = main;
  }

  void run(List<Problem> problems) {
    try (Model model = Model.load("gsm-mini-diffusion", ModelOptions.defaults())) {
      List<DiffusionSetup> setups =
          Arrays.stream(Way.values())
              .map(way -> EvalDiffusionCommand.setup(model, way.way + LENGTH))
              .toList();
      main.out.printf("%n%-18s %8s %10s %10s%n", "diffusion", "right", "passes", "tok/s");
      List<DiffusionComparison.Row> rows =
          DiffusionComparison.run(model, problems, setups, (done, total) -> {});
      for (int i = 0; i < rows.size(); i++) {
        DiffusionComparison.Row row = rows.get(i);
        main.out.printf(
            Locale.ROOT,
            "%-18s %8s %10.1f %10.0f%n",
            Way.values()[i].title,
            row.right() + "/" + row.problems(),
            row.meanPasses(),
            row.tokensPerSecond());
      }
    }
  }
}
