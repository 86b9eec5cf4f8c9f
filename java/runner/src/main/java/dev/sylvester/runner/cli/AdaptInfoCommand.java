package dev.sylvester.runner.cli;

import dev.sylvester.kernels.KronShape;
import dev.sylvester.runner.format.AdapterFolder;
import dev.sylvester.runner.format.AdapterFolder.Module;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
    name = "info",
    description = "Tell what an adapter is: its modules, their sizes, terms and scales.",
    footer = {"", "Example:", "  sylvester adapt info my-lora --json"})
final class AdaptInfoCommand implements Callable<Integer> {
  private final Main main;

  @Parameters(
      paramLabel = "PATH",
      description = "A folder of PEFT, a file of adapt decompose, or a LoKr file of LyCORIS.")
  private Path path;

  @Option(names = "--json", description = "Print one JSON object.")
  private boolean json;

  AdaptInfoCommand(Main main) {
    this.main = main;
  }

  @Override
  public Integer call() throws Exception {
    try (Arena arena = Arena.ofShared()) {
      AdapterFolder adapter = AdapterFolder.read(path, arena);
      long bytes = 0;
      for (Path file : AdapterFolder.files(path)) {
        bytes += Files.size(file);
      }
      long parameters =
          adapter.modules().values().stream().mapToLong(m -> m.factors().cost().parameters()).sum();
      if (json) {
        Json.print(main.out, object(adapter, parameters, bytes));
      } else {
        printTable(adapter, parameters, bytes);
      }
    }
    return 0;
  }

  private void printTable(AdapterFolder adapter, long parameters, long bytes) {
    main.out.printf(
        "%-36s %13s %13s %13s %6s %9s%n", "module", "out x in", "U", "V", "terms", "scale");
    adapter
        .modules()
        .forEach(
            (name, module) -> {
              KronShape shape = module.factors().shape();
              main.out.printf(
                  Locale.ROOT,
                  "%-36s %13s %13s %13s %6d %9.4g%s%s%s%n",
                  name,
                  shape.out() + " x " + shape.in(),
                  shape.m() + " x " + shape.n(),
                  shape.p() + " x " + shape.q(),
                  module.factors().terms(),
                  module.scale(),
                  module.principal() ? " pissa" : "",
                  module.magnitude() == null ? "" : " dora",
                  module.embedding() ? " embedding" : "");
            });
    main.out.printf(
        Locale.ROOT,
        "%n%,d modules, %,d parameters when applied, %,d bytes%n",
        adapter.modules().size(),
        parameters,
        bytes);
  }

  private static Map<String, Object> object(AdapterFolder adapter, long parameters, long bytes) {
    Map<String, Object> object = new LinkedHashMap<>();
    object.put("path", adapter.path().toString());
    object.put("parameters", parameters);
    object.put("bytes", bytes);
    List<Map<String, Object>> modules = new ArrayList<>();
    for (Map.Entry<String, Module> entry : adapter.modules().entrySet()) {
      Module module = entry.getValue();
      KronShape shape = module.factors().shape();
      Map<String, Object> one = new LinkedHashMap<>();
      one.put("name", entry.getKey());
      one.put("u", new long[] {shape.m(), shape.n()});
      one.put("v", new long[] {shape.p(), shape.q()});
      one.put("terms", module.factors().terms());
      one.put("scale", module.scale());
      one.put("pissa", module.principal());
      one.put("dora", module.magnitude() != null);
      one.put("embedding", module.embedding());
      modules.add(one);
    }
    object.put("modules", modules);
    return object;
  }
}
