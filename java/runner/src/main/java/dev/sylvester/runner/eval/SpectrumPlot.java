package dev.sylvester.runner.eval;

import dev.sylvester.runner.adapt.Spectrum;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Locale;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import org.knowm.xchart.XYChart;

/** Parameters of adapters against the energy that they hold. */
public final class SpectrumPlot {
  private static final int POINTS = 41;
  private static final double LEAST = 0.002;

  private SpectrumPlot() {}

  /** Draws the whole model's spectrum as SVG. */
  public static void write(Spectrum spectrum, String title, Path file) throws IOException {
    XYChart chart = Charts.of(title, "parameters, % of the layers", "energy, %");
    chart.getStyler().setXAxisLogarithmic(true);
    double[] shares =
        IntStream.range(0, POINTS)
            .mapToDouble(i -> LEAST * Math.pow(Spectrum.MOST / LEAST, (double) i / (POINTS - 1)))
            .toArray();
    double[] percent = DoubleStream.of(shares).map(share -> 100 * share).toArray();
    for (Spectrum.Kind kind : Spectrum.Kind.values()) {
      double[] energy =
          DoubleStream.of(shares).map(share -> 100 * spectrum.energy(kind, share)).toArray();
      chart.addSeries(kind.name().toLowerCase(Locale.ROOT), percent, energy);
    }
    Charts.write(chart, file);
  }
}
