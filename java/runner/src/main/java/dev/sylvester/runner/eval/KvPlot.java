package dev.sylvester.runner.eval;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.knowm.xchart.VectorGraphicsEncoder;
import org.knowm.xchart.VectorGraphicsEncoder.VectorGraphicsFormat;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.XYSeries.XYSeriesRenderStyle;
import org.knowm.xchart.style.Styler.ChartTheme;

/** Bits of a number against perplexity. */
public final class KvPlot {
  private static final int WIDTH = 720;
  private static final int HEIGHT = 480;

  private KvPlot() {}

  /** Draws a comparison as SVG. */
  public static void write(List<KvComparison.Row> rows, String title, Path file)
      throws IOException {
    XYChart chart =
        new XYChartBuilder()
            .width(WIDTH)
            .height(HEIGHT)
            .theme(ChartTheme.XChart)
            .title(title)
            .xAxisTitle("bits of a number")
            .yAxisTitle("perplexity")
            .build();
    chart.getStyler().setDefaultSeriesRenderStyle(XYSeriesRenderStyle.Scatter);
    chart.getStyler().setYAxisLogarithmic(true);
    // Each of their dashes would be an outline of its own.
    chart.getStyler().setPlotGridLinesVisible(false);
    for (KvComparison.Row row : rows) {
      chart.addSeries(
          row.cache().toString(), new double[] {row.bits()}, new double[] {row.perplexity()});
    }
    VectorGraphicsEncoder.saveVectorGraphic(chart, file.toString(), VectorGraphicsFormat.SVG);
  }
}
