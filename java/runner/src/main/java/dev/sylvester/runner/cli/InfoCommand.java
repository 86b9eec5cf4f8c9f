package dev.sylvester.runner.cli;

import dev.sylvester.cuda.CudaDescription;
import dev.sylvester.cuda.CudaDevice;
import dev.sylvester.kernels.Description;
import dev.sylvester.kernels.Sylvester;
import dev.sylvester.runner.Model;
import dev.sylvester.runner.ModelDescription;
import dev.sylvester.runner.ModelOptions;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

@Command(
    name = "info",
    description = "Tell what is in use and why: library, tier, threads, GPU; and what a model is.",
    footer = {"", "Examples:", "  sylvester info", "  sylvester info -m smollm2 --json"})
final class InfoCommand implements Callable<Integer> {
  private final Main main;

  @Option(
      names = {"-m", "--model"},
      paramLabel = "MODEL",
      description = "Also tell about a model: an alias, a file or a folder.")
  private String model;

  @Option(names = "--json", description = "Print one JSON object.")
  private boolean json;

  InfoCommand(Main main) {
    this.main = main;
  }

  @Override
  public Integer call() throws Exception {
    Description library = Sylvester.describe();
    CudaDescription cuda = CudaDevice.describe();
    ModelDescription described = model == null ? null : describe();
    if (json) {
      Map<String, Object> object = libraryJson(library, cuda);
      if (described != null) {
        object.put("model", modelJson(described));
      }
      Json.print(main.out, object);
    } else {
      main.out.println(library.text());
      main.out.println(cuda.text());
      if (described != null) {
        printModel(described);
      }
    }
    cuda.check();
    return 0;
  }

  private ModelDescription describe() {
    try (Model opened = Model.load(model, ModelOptions.defaults())) {
      return opened.describe();
    }
  }

  private static Map<String, Object> libraryJson(Description library, CudaDescription cuda) {
    Map<String, Object> object = new LinkedHashMap<>();
    object.put("version", library.version());
    object.put("abi_version", library.abiVersion());
    object.put("library", library.library().toString());
    object.put("sha256", library.sha256());
    object.put("refused", library.refused());
    object.put("tier", library.tier());
    object.put("tier_reason", library.tierReason());
    object.put("tiers", library.supportedTiers());
    object.put("threads", library.threads());
    object.put("gpu", cudaJson(cuda));
    object.put("java", System.getProperty("java.vm.name") + " " + Runtime.version());
    return object;
  }

  private static Map<String, Object> cudaJson(CudaDescription cuda) {
    Map<String, Object> object = new LinkedHashMap<>();
    object.put("available", cuda.available());
    object.put("reason", cuda.reason());
    object.put("library", Objects.toString(cuda.library(), null));
    object.put("refused", cuda.refused());
    object.put("driver", cuda.driver());
    object.put("devices", cuda.devices());
    return object;
  }

  private static Map<String, Object> modelJson(ModelDescription m) {
    Map<String, Object> object = new LinkedHashMap<>();
    object.put("path", m.path());
    object.put("architecture", m.architecture());
    object.put("parameters", m.parameters());
    object.put("tensor_types", m.tensorTypes());
    object.put("bytes", m.bytes());
    object.put("context", m.modelContext());
    object.put("default_context", m.context());
    object.put("kv_bytes_per_token", m.cacheBytesPerToken());
    return object;
  }

  private void printModel(ModelDescription m) {
    String types =
        m.tensorTypes().entrySet().stream()
            .map(e -> e.getValue() + " " + e.getKey())
            .collect(Collectors.joining(", "));
    main.out.println();
    line("model", m.path());
    line("kind", "%s, %,d parameters".formatted(m.architecture(), m.parameters()));
    line("tensors", types);
    line("size", String.format(Locale.ROOT, "%,d bytes", m.bytes()));
    line("context", "%,d tokens, %,d unless asked for".formatted(m.modelContext(), m.context()));
    line("cache", String.format(Locale.ROOT, "%,d bytes/token", m.cacheBytesPerToken()));
  }

  private void line(String name, String value) {
    main.out.printf("%-9s %s%n", name, value);
  }
}
