package dev.sylvester.runner.cli;

import dev.sylvester.kernels.KronShape;
import dev.sylvester.kernels.ThreadPool;
import dev.sylvester.runner.adapt.Blocks;
import dev.sylvester.runner.adapt.LinearLayers;
import dev.sylvester.runner.adapt.Spectrum;
import dev.sylvester.runner.adapt.Spectrum.Kind;
import dev.sylvester.runner.eval.SpectrumPlot;
import dev.sylvester.runner.format.ModelFile;
import dev.sylvester.runner.hub.Catalog;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.function.ToDoubleBiFunction;
import java.util.function.ToDoubleFunction;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
    name = "spectrum",
    description = "How much of a model's weights adapters of a size can hold.",
    footer = {
      "",
      "Energy, the sum of squares, in the best sums of Kronecker products and of the SVD (LoRA)",
      "with as many parameters; shuffled: Kronecker products of the same weights in random order.",
      "The total gives each layer the terms that are worth most.",
      "",
      "Examples:",
      "  sylvester adapt spectrum -m smollm2 --factors 64x64 --svg spectrum.svg",
      "  sylvester adapt spectrum -m tuned/ --base base/ --json"
    })
final class AdaptSpectrumCommand implements Callable<Integer> {
  private static final double[] SHARES = {0.005, 0.01, 0.02, 0.05, 0.1, Spectrum.MOST};
  // Of the table of layers.
  private static final double SHARE = 0.1;

  private final Main main;

  @Option(
      names = {"-m", "--model"},
      paramLabel = "MODEL",
      defaultValue = "gsm-mini",
      description = "An alias, a file or a folder. Default: gsm-mini.")
  private String model;

  @Option(
      names = "--base",
      paramLabel = "MODEL",
      description = "Decompose what the model adds to this one.")
  private String base;

  @Option(
      names = "--factors",
      paramLabel = "RxC",
      defaultValue = "balanced",
      description =
          "Size of the right factors, which divides every layer; balanced: both factors alike."
              + " Default: balanced.")
  private String factors;

  @Option(names = "--json", description = "Print one JSON object.")
  private boolean json;

  @Option(names = "--svg", paramLabel = "FILE", description = "Draw parameters against energy.")
  private Path svg;

  @Mixin private ThreadsArgument threads;

  AdaptSpectrumCommand(Main main) {
    this.main = main;
  }

  @Override
  public Integer call() throws Exception {
    Blocks blocks = Blocks.parse(factors);
    try (ModelFile opened = ModelFile.open(Catalog.resolve(model));
        ModelFile before = base == null ? null : ModelFile.open(Catalog.resolve(base));
        ThreadPool pool = threads.pool();
        TerminalProgress progress = TerminalProgress.counting("Decomposing", "layers")) {
      LinearLayers layers =
          before == null ? LinearLayers.of(opened) : LinearLayers.difference(opened, before);
      Spectrum spectrum = Spectrum.of(layers, blocks, pool, progress);
      if (svg != null) {
        SpectrumPlot.write(spectrum, "%s, factors %s".formatted(model, blocks), svg);
      }
      if (json) {
        Json.print(main.out, object(spectrum, blocks));
      } else {
        printTables(spectrum);
      }
    }
    return 0;
  }

  private void printTables(Spectrum spectrum) {
    main.out.printf(
        "%-36s %13s %13s %10s %8s %8s%n",
        "energy at %.0f %% of parameters".formatted(100 * SHARE),
        "out x in",
        "U",
        "kronecker",
        "svd",
        "shuffled");
    for (Spectrum.Layer layer : spectrum.layers()) {
      KronShape shape = layer.shape();
      main.out.printf(
          "%-36s %13s %13s %s%n",
          layer.layer().name(),
          shape.out() + " x " + shape.in(),
          shape.m() + " x " + shape.n(),
          percents(kind -> layer.energy(kind, SHARE)));
    }
    main.out.printf(
        "%n%-36s %13s %13s %10s %8s %8s%n",
        "all layers", "parameters", "", "kronecker", "svd", "shuffled");
    for (double share : SHARES) {
      main.out.printf(
          Locale.ROOT,
          "%-36s %11.1f %% %13s %s%n",
          "",
          100 * share,
          "",
          percents(kind -> spectrum.energy(kind, share)));
    }
  }

  private static String percents(ToDoubleFunction<Kind> energy) {
    return String.format(
        Locale.ROOT,
        "%8.2f %% %6.2f %% %6.2f %%",
        100 * energy.applyAsDouble(Kind.KRONECKER),
        100 * energy.applyAsDouble(Kind.SVD),
        100 * energy.applyAsDouble(Kind.SHUFFLED));
  }

  private Map<String, Object> object(Spectrum spectrum, Blocks blocks) {
    Map<String, Object> object = new LinkedHashMap<>();
    object.put("model", model);
    object.put("base", base);
    object.put("factors", blocks.toString());
    object.put("shares", SHARES);
    object.put("total", energies(spectrum::energy));
    List<Map<String, Object>> layers = new ArrayList<>();
    for (Spectrum.Layer layer : spectrum.layers()) {
      KronShape shape = layer.shape();
      Map<String, Object> one = new LinkedHashMap<>();
      one.put("name", layer.layer().name());
      one.put("u", new long[] {shape.m(), shape.n()});
      one.put("v", new long[] {shape.p(), shape.q()});
      one.put("energy", layer.energy());
      one.putAll(energies(layer::energy));
      layers.add(one);
    }
    object.put("layers", layers);
    return object;
  }

  /** For each kind the energy at each share; null in a layer without any. */
  private static Map<String, List<Double>> energies(ToDoubleBiFunction<Kind, Double> energy) {
    Map<String, List<Double>> energies = new LinkedHashMap<>();
    for (Kind kind : Kind.values()) {
      List<Double> values = new ArrayList<>();
      for (double share : SHARES) {
        values.add(Json.measured(energy.applyAsDouble(kind, share)));
      }
      energies.put(kind.name().toLowerCase(Locale.ROOT), values);
    }
    return energies;
  }
}
