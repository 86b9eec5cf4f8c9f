package dev.sylvester.runner.eval;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYSeries.XYSeriesRenderStyle;
import org.knowm.xchart.style.markers.SeriesMarkers;

/** Accuracy against passes, and against time. */
public final class DiffusionPlot {
  private DiffusionPlot() {}

  /** Draws a comparison as SVG. */
  public static void accuracy(List<DiffusionComparison.Row> rows, String title, Path file)
      throws IOException {
    XYChart chart = chart(title, "forward passes of a problem", "problems solved, %");
    chart.getStyler().setDefaultSeriesRenderStyle(XYSeriesRenderStyle.Scatter);
    for (DiffusionComparison.Row row : rows) {
      chart.addSeries(
          row.setup().name(), new double[] {row.meanPasses()}, new double[] {100 * row.accuracy()});
    }
    Charts.write(chart, file);
  }

  /** Draws how early answers are there, as SVG. */
  public static void emergence(double[] shares, String title, Path file) throws IOException {
    XYChart chart =
        chart(title, "steps taken of " + (shares.length - 1), "answers right already, %");
    double[] x = new double[shares.length];
    double[] y = new double[shares.length];
    for (int i = 0; i < x.length; i++) {
      x[i] = i;
      y[i] = 100 * shares[i];
    }
    chart.addSeries("answers", x, y).setMarker(SeriesMarkers.NONE);
    chart.getStyler().setLegendVisible(false);
    Charts.write(chart, file);
  }

  private static XYChart chart(String title, String x, String y) {
    XYChart chart = Charts.of(title, x, y);
    chart.getStyler().setYAxisMin(0.0);
    chart.getStyler().setXAxisMin(0.0);
    return chart;
  }
}
