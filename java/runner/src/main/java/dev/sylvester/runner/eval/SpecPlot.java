package dev.sylvester.runner.eval;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.knowm.xchart.XYChart;

/** What rules for the length of drafts give: SpecDec++'s plane, and speed against length. */
public final class SpecPlot {
  private SpecPlot() {}

  /**
   * Draws tokens thrown away and passes of the target, each for a token: low and left is good.
   *
   * @param families rows that belong together, by name
   */
  public static void plane(Map<String, List<SpecComparison.Row>> families, Path file)
      throws IOException {
    XYChart chart = Charts.of("", "discarded candidates a token", "passes of the target a token");
    families.forEach(
        (name, rows) ->
            chart.addSeries(
                name,
                rows.stream().mapToDouble(row -> row.stats().discardRate()).toArray(),
                rows.stream().mapToDouble(row -> row.stats().verifyRate()).toArray()));
    Charts.write(chart, file);
  }

  /**
   * Draws speed-ups against the mean length of a draft, and the formula's.
   *
   * @param families rows that belong together, by name
   */
  public static void speed(Map<String, List<SpecComparison.Row>> families, Path file)
      throws IOException {
    XYChart chart = Charts.of("", "candidates a round", "speed-up over plain decoding");
    families.forEach(
        (name, rows) -> {
          double[] lengths = rows.stream().mapToDouble(SpecPlot::length).toArray();
          chart.addSeries(
              name, lengths, rows.stream().mapToDouble(SpecComparison.Row::speedup).toArray());
          chart.addSeries(
              name + ", formula",
              lengths,
              rows.stream().mapToDouble(SpecComparison.Row::bound).toArray());
        });
    Charts.write(chart, file);
  }

  private static double length(SpecComparison.Row row) {
    return (double) row.stats().drafted() / row.stats().rounds();
  }
}
