package dev.sylvester.runner.cli;

import dev.sylvester.kernels.KronShape;
import dev.sylvester.kernels.ThreadPool;
import dev.sylvester.runner.adapt.Blocks;
import dev.sylvester.runner.adapt.LinearLayers;
import dev.sylvester.runner.adapt.PrincipalTerms;
import dev.sylvester.runner.format.AdapterFolder;
import dev.sylvester.runner.format.ModelFile;
import dev.sylvester.runner.hub.Catalog;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.function.Function;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
    name = "decompose",
    description = "Make an adapter of what fine-tuning changed in a model's linear layers.",
    footer = {
      "",
      "Of the terms of all layers those are kept that hold most of the change for their",
      "parameters. Embeddings and norms are left out. A LoRA is a folder that PEFT reads.",
      "",
      "Examples:",
      "  sylvester adapt decompose -m tuned/ --base base/ --budget 500000 -o tuned.safetensors",
      "  sylvester adapt decompose -m tuned/ --base base/ --budget 500000 --method lora -o lora/"
    })
final class AdaptDecomposeCommand implements Callable<Integer> {
  /** What is made. */
  enum Method {
    /** Sums of Kronecker products, in a file of ours. */
    SOKA,
    /** A LoRA, as PEFT saves it. */
    LORA
  }

  private final Main main;

  @Option(
      names = {"-m", "--model"},
      paramLabel = "MODEL",
      required = true,
      description = "The fine-tuned model: an alias, a file or a folder.")
  private String model;

  @Option(
      names = "--base",
      paramLabel = "MODEL",
      required = true,
      description = "The model that it was.")
  private String base;

  @Option(
      names = "--budget",
      paramLabel = "N",
      required = true,
      description = "Parameters of the adapter at most.")
  private long budget;

  @Option(
      names = {"-o", "--output"},
      paramLabel = "PATH",
      required = true,
      description = "Where it goes: a file for soka, a new folder for lora.")
  private Path output;

  @Option(
      names = "--method",
      paramLabel = "KIND",
      defaultValue = "soka",
      description = "soka or lora. Default: soka.")
  private Method method;

  @Option(
      names = "--factors",
      paramLabel = "RxC",
      description =
          "Size of soka's right factors, which divides every layer; balanced: both factors alike."
              + " Default: balanced.")
  private String factors;

  @Option(names = "--json", description = "Print one JSON object.")
  private boolean json;

  @Mixin private ThreadsArgument threads;

  AdaptDecomposeCommand(Main main) {
    this.main = main;
  }

  @Override
  public Integer call() throws Exception {
    if (budget < 1) {
      throw new IllegalArgumentException("budget is %d, must be at least 1".formatted(budget));
    }
    Function<LinearLayers.Layer, KronShape> shape = shape();
    try (ModelFile tuned = ModelFile.open(Catalog.resolve(model));
        ModelFile before = ModelFile.open(Catalog.resolve(base));
        ThreadPool pool = threads.pool();
        Arena arena = Arena.ofShared();
        TerminalProgress progress = TerminalProgress.counting("Decomposing", "layers")) {
      LinearLayers change = LinearLayers.difference(tuned, before);
      PrincipalTerms terms = PrincipalTerms.of(change, shape, budget, arena, pool, progress);
      if (method == Method.LORA) {
        AdapterFolder.writeLora(output, terms.modules());
      } else {
        AdapterFolder.writeKron(output, terms.modules());
      }
      report(terms);
    }
    return 0;
  }

  private Function<LinearLayers.Layer, KronShape> shape() {
    if (method == Method.SOKA) {
      return (factors == null ? Blocks.BALANCED : Blocks.parse(factors))::shape;
    }
    if (factors != null) {
      throw new IllegalArgumentException("--factors are those of soka, not of lora");
    }
    return PrincipalTerms::lora;
  }

  private void report(PrincipalTerms terms) {
    if (json) {
      Map<String, Object> object = new LinkedHashMap<>();
      object.put("output", output.toString());
      object.put("method", method.name().toLowerCase(Locale.ROOT));
      object.put("modules", terms.modules().size());
      object.put("parameters", terms.parameters());
      object.put("energy", terms.energy());
      Json.print(main.out, object);
    } else {
      main.out.printf(
          Locale.ROOT,
          "%s: %d modules, %,d parameters, %.2f %% of the change's energy%n",
          output,
          terms.modules().size(),
          terms.parameters(),
          100 * terms.energy());
    }
  }
}
