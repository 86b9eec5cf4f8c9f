package dev.sylvester.runner.cli;

import dev.sylvester.kernels.ThreadPool;
import dev.sylvester.runner.adapt.Export;
import dev.sylvester.runner.format.AdapterFolder;
import dev.sylvester.runner.format.LayerChange;
import dev.sylvester.runner.format.ModelFile;
import dev.sylvester.runner.hub.Catalog;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
    name = "export",
    description = "Write an adapter as PEFT reads it, beside the model as it is.",
    footer = {
      "",
      "lokr: a folder of each Kronecker term, exactly; PEFT adds up those that are active.",
      "lora: exactly where the adapter is a LoRA or PiSSA, otherwise the nearest of a rank.",
      "",
      "Examples:",
      "  sylvester adapt export terms.safetensors --to lokr -o lokr/",
      "  sylvester adapt export terms.safetensors --to lora --rank 16 -o lora/",
      "  sylvester adapt export my-pissa/ --initial my-pissa-before-training/ -o lora/"
    })
final class AdaptExportCommand implements Callable<Integer> {
  /** What is written. */
  enum Form {
    /** One low-rank product a layer. */
    LORA,
    /** One Kronecker product a layer and folder. */
    LOKR
  }

  private final Main main;

  @Parameters(
      paramLabel = "PATH",
      description = "A folder of PEFT, a file of adapt decompose, or a LoKr file of LyCORIS.")
  private Path path;

  @Option(
      names = "--to",
      paramLabel = "KIND",
      defaultValue = "lora",
      description = "lora or lokr. Default: lora.")
  private Form form;

  @Option(
      names = "--rank",
      paramLabel = "N",
      description = "Terms of a layer's LoRA at most. Default: as many as there are.")
  private Integer rank;

  @Option(
      names = {"-m", "--model"},
      paramLabel = "MODEL",
      description = "The model that the adapter was made for, which DoRA and PiSSA need.")
  private String model;

  @Option(
      names = "--initial",
      paramLabel = "DIR",
      description = "PiSSA as it was before training; the model is not needed then.")
  private Path initial;

  @Option(
      names = {"-o", "--output"},
      paramLabel = "DIR",
      required = true,
      description = "The new folder.")
  private Path output;

  @Option(names = "--json", description = "Print one JSON object.")
  private boolean json;

  @Mixin private ThreadsArgument threads;

  AdaptExportCommand(Main main) {
    this.main = main;
  }

  @Override
  public Integer call() throws Exception {
    if (rank != null && (rank < 1 || form == Form.LOKR)) {
      throw new IllegalArgumentException(
          "rank is %d, must be at least 1, and is of lora only".formatted(rank));
    }
    if (initial != null && model != null) {
      throw new IllegalArgumentException("--initial makes -m needless");
    }
    try (Arena arena = Arena.ofShared();
        ModelFile base = model == null ? null : ModelFile.open(Catalog.resolve(model));
        ThreadPool pool = threads.pool()) {
      AdapterFolder adapter = AdapterFolder.read(path, arena);
      Map<String, LayerChange> changes =
          initial == null
              ? Export.changes(adapter, base, arena, pool)
              : Export.difference(adapter, AdapterFolder.read(initial, arena), arena);
      if (form == Form.LOKR) {
        List<Path> folders = AdapterFolder.writeLokr(output, changes);
        report(new Export.Lora(changes, Map.of(), 0), folders);
      } else {
        report(writeLora(changes, base, arena, pool), List.of(output));
      }
    }
    return 0;
  }

  private Export.Lora writeLora(
      Map<String, LayerChange> changes, ModelFile base, Arena arena, ThreadPool pool)
      throws IOException {
    try (TerminalProgress progress = TerminalProgress.counting("Decomposing", "layers")) {
      int most = rank == null ? Integer.MAX_VALUE : rank;
      Export.Lora lora = Export.lora(changes, most, base, arena, pool, progress);
      AdapterFolder.writeScaledLora(output, lora.modules());
      return lora;
    }
  }

  private void report(Export.Lora written, List<Path> folders) {
    long parameters =
        written.modules().values().stream().mapToLong(m -> m.factors().cost().parameters()).sum();
    if (json) {
      Map<String, Object> object = new LinkedHashMap<>();
      object.put("folders", folders.stream().map(Path::toString).toList());
      object.put("parameters", parameters);
      object.put("error", written.error());
      List<Map<String, Object>> modules = new ArrayList<>();
      written
          .modules()
          .forEach(
              (name, change) -> {
                Map<String, Object> one = new LinkedHashMap<>();
                one.put("name", name);
                one.put("terms", change.factors().terms());
                one.put("error", written.errors().getOrDefault(name, 0.0));
                modules.add(one);
              });
      object.put("modules", modules);
      Json.print(main.out, object);
      return;
    }
    main.out.printf(
        Locale.ROOT,
        "%s: %d modules, %,d parameters, relative error %.3g%n",
        folders.size() == 1 ? output : "%s, %d folders".formatted(output, folders.size()),
        written.modules().size(),
        parameters,
        written.error());
    written.errors().entrySet().stream()
        .max(Map.Entry.comparingByValue())
        .filter(worst -> worst.getValue() > 0)
        .ifPresent(
            worst ->
                main.out.printf(
                    Locale.ROOT, "most in %s: %.3g%n", worst.getKey(), worst.getValue()));
  }
}
