package dev.sylvester.runner.cli;

import dev.sylvester.runner.Model;
import dev.sylvester.runner.ModelOptions;
import dev.sylvester.runner.diffusion.Denoiser;
import dev.sylvester.runner.diffusion.DiffusionDecoder;
import dev.sylvester.runner.diffusion.Hex;
import dev.sylvester.runner.eval.DiffusionComparison;
import dev.sylvester.runner.eval.DiffusionSetup;
import dev.sylvester.runner.eval.Problem;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/** The part of the demo that fills canvases. */
final class DiffusionDemo {
  private static final String FAST = "threshold:0.9/dual";

  /** What a row is called, and the way it means. */
  private enum Way {
    FULL("full steps", "low-confidence"),
    HALF("half the steps", "low-confidence/steps=32"),
    THRESHOLD("threshold 0.9", "threshold:0.9"),
    PROPHET("Prophet", "low-confidence/prophet"),
    CACHED("cache + threshold", FAST);

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
              .map(way -> EvalDiffusionCommand.setup(model, way.way))
              .toList();
      main.out.printf("%n%-18s %8s %10s %10s%n", "diffusion", "right", "passes", "tok/s");
      List<DiffusionComparison.Row> rows =
          DiffusionComparison.run(model, problems, setups, (done, total) -> {});
      for (int i = 0; i < rows.size(); i++) {
        DiffusionComparison.Row row = rows.get(i);
        print(
            Way.values()[i].title,
            row.right(),
            problems.size(),
            row.meanPasses(),
            row.tokensPerSecond());
      }
      vote(model, problems);
    }
  }

  private void vote(Model model, List<Problem> problems) {
    DiffusionSetup setup = EvalDiffusionCommand.setup(model, FAST);
    Hex hex =
        new Hex(
            List.of(8, 16, 32),
            2,
            6,
            tokens -> Problem.answer(DiffusionComparison.text(model, tokens)));
    int right = 0;
    long passes = 0;
    double seconds = 0;
    try (Denoiser denoiser = model.newDenoiser()) {
      DiffusionDecoder decoder = new DiffusionDecoder(denoiser);
      for (Problem problem : problems) {
        Hex.Vote vote =
            hex.vote(decoder, setup.request(model, problem, 0.5), DiffusionSetup.LENGTH, true);
        right += vote.answer().equals(problem.result()) ? 1 : 0;
        passes += vote.paths().stream().mapToInt(path -> path.result().forwardPasses()).sum();
        seconds += vote.seconds();
      }
    }
    print(
        "vote of 6",
        right,
        problems.size(),
        (double) passes / problems.size(),
        problems.size() * DiffusionSetup.LENGTH / seconds);
  }

  private void print(String title, int right, int problems, double passes, double speed) {
    main.out.printf(
        Locale.ROOT, "%-18s %8s %10.1f %10.0f%n", title, right + "/" + problems, passes, speed);
  }
}
