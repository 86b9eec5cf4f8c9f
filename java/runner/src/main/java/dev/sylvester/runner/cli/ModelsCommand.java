package dev.sylvester.runner.cli;

import dev.sylvester.runner.hub.Catalog;
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

@Command(
    name = "models",
    description = "List the models with a short name, and what was pulled.",
    footer = {
      "",
      "-m of the other commands takes an alias of this list, a file, or a folder that holds",
      "config.json, tokenizer.json and model.safetensors (or its shards)."
    })
final class ModelsCommand implements Callable<Integer> {
  private final Main main;

  @Option(names = "--json", description = "Print one JSON object.")
  private boolean json;

  ModelsCommand(Main main) {
    this.main = main;
  }

  @Override
  public Integer call() throws Exception {
    if (json) {
      printJson();
    } else {
      printTable();
    }
    return 0;
  }

  private static String state(Catalog.Entry entry) {
    return entry.state().name().toLowerCase(Locale.ROOT).replace('_', ' ');
  }

  private void printTable() throws Exception {
    String format = "%-20s %-11s %8s  %-10s  %s%n";
    main.out.printf(format, "ALIAS", "STATE", "SIZE", "LICENCE", "MODEL");
    for (Catalog.Entry entry : Catalog.entries()) {
      main.out.printf(
          format,
          entry.alias(),
          state(entry),
          Text.bytes(entry.bytes()),
          entry.licence(),
          entry.description());
    }
    for (Path file : Catalog.pulledFiles()) {
      main.out.printf("%s  %s%n", Text.bytes(Files.size(file)), file);
    }
  }

  private void printJson() throws Exception {
    List<Map<String, Object>> models = new ArrayList<>();
    for (Catalog.Entry entry : Catalog.entries()) {
      Map<String, Object> model = new LinkedHashMap<>();
      model.put("alias", entry.alias());
      model.put("state", state(entry));
      model.put("bytes", entry.bytes());
      model.put("licence", entry.licence());
      model.put("description", entry.description());
      models.add(model);
    }
    List<String> files = Catalog.pulledFiles().stream().map(Path::toString).toList();
    Json.print(main.out, Map.of("models", models, "pulled", files));
  }
}
