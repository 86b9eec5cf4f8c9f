package dev.sylvester.runner.eval;

import dev.sylvester.runner.adapt.Spectrum;
import java.awt.BasicStroke;
import java.awt.Color;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYSeries;
import org.knowm.xchart.style.Styler.LegendPosition;
import org.knowm.xchart.style.lines.SeriesLines;
import org.knowm.xchart.style.markers.SeriesMarkers;

/** Parameters of adapters against the energy that they hold. */
public final class SpectrumPlot {
  private static final int POINTS = 41;
  private static final double LEAST = 0.002;

  /** How a kind of terms is drawn; markers of so many points would hide the lines. */
  private record Line(Spectrum.Kind kind, String name, Color color, BasicStroke stroke) {}

  private static final List<Line> LINES =
      List.of(
          new Line(Spectrum.Kind.SVD, "SVD (LoRA)", new Color(0xD55E00), SeriesLines.SOLID),
          new Line(
              Spectrum.Kind.KRONECKER,
              "Kronecker products",
              new Color(0x0072B2),
              SeriesLines.SOLID),
          new Line(
              Spectrum.Kind.SHUFFLED,
              "the same, weights shuffled",
              new Color(0x666666),
              SeriesLines.DASH_DASH));

  private SpectrumPlot() {}

  /** Draws the whole model's spectrum as SVG. */
  public static void write(Spectrum spectrum, String title, Path file) throws IOException {
    XYChart chart = Charts.of(title, "parameters, % of the layers", "energy, %");
    chart.getStyler().setXAxisLogarithmic(true);
    chart.getStyler().setLegendPosition(LegendPosition.InsideNW);
    double[] shares =
        IntStream.range(0, POINTS)
            .mapToDouble(i -> LEAST * Math.pow(Spectrum.MOST / LEAST, (double) i / (POINTS - 1)))
            .toArray();
    double[] percent = DoubleStream.of(shares).map(share -> 100 * share).toArray();
    for (Line line : LINES) {
      double[] energy =
          DoubleStream.of(shares).map(share -> 100 * spectrum.energy(line.kind, share)).toArray();
      XYSeries series = chart.addSeries(line.name, percent, energy);
      series.setMarker(SeriesMarkers.NONE);
      series.setLineColor(line.color);
      series.setLineStyle(line.stroke);
    }
    Charts.write(chart, file);
  }
}
