package dev.sylvester.runner.eval;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYSeries.XYSeriesRenderStyle;

/** Bits of a number against perplexity. */
public final class KvPlot {
  private KvPlot() {}

  /** Draws a comparison as SVG. */
  public static void write(List<KvComparison.Row> rows, String title, Path file)
      throws IOException {
    XYChart chart = Charts.of(title, "bits of a number", "perplexity");
    chart.getStyler().setDefaultSeriesRenderStyle(XYSeriesRenderStyle.Scatter);
    chart.getStyler().setYAxisLogarithmic(true);
    for (KvComparison.Row row : rows) {
      chart.addSeries(
          row.cache().toString(), new double[] {row.bits()}, new double[] {row.perplexity()});
    }
    Charts.write(chart, file);
  }
}
