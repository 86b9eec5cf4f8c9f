package dev.sylvester.runner.eval;

import dev.sylvester.runner.adapt.AdapterTrainer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.style.markers.SeriesMarkers;

/** The loss of a training, step by step. */
public final class TrainingPlot {
  private TrainingPlot() {}

  /** Draws at least one step as SVG. */
  public static void write(List<AdapterTrainer.Step> steps, String title, Path file)
      throws IOException {
    XYChart chart = Charts.of(title, "step", "loss of a token");
    chart.getStyler().setLegendVisible(false);
    chart
        .addSeries(
            "loss",
            steps.stream().mapToDouble(AdapterTrainer.Step::number).toArray(),
            steps.stream().mapToDouble(AdapterTrainer.Step::loss).toArray())
        .setMarker(SeriesMarkers.NONE);
    Charts.write(chart, file);
  }
}
