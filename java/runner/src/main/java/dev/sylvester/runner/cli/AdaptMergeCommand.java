package dev.sylvester.runner.cli;

import dev.sylvester.kernels.ThreadPool;
import dev.sylvester.runner.Adapter;
import dev.sylvester.runner.adapt.Merge;
import dev.sylvester.runner.format.ModelFile;
import dev.sylvester.runner.hub.Catalog;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
    name = "merge",
    description = "Write a model with adapters added to its weights.",
    footer = {
      "",
      "The model stays as it is. Of a GGUF file another one is written, of a safetensors model a",
      "folder. Quantised weights become F16 where they change; all else is as it was.",
      "",
      "Examples:",
      "  sylvester adapt merge -m base/ --adapter my-lora:0.8 -o merged/",
      "  sylvester adapt merge -m model.gguf --adapter my-lora -o merged.gguf"
    })
final class AdaptMergeCommand implements Callable<Integer> {
  private final Main main;

  @Option(
      names = {"-m", "--model"},
      paramLabel = "MODEL",
      required = true,
      description = "An alias, a file or a folder.")
  private String model;

  @Option(
      names = "--adapter",
      paramLabel = "PATH[:SCALE]",
      required = true,
      description =
          "A LoRA or LoKr folder of PEFT, or a file of adapt decompose, its change scaled; several"
              + " are added up.")
  private List<String> adapters;

  @Option(
      names = {"-o", "--output"},
      paramLabel = "PATH",
      required = true,
      description = "The new file or folder.")
  private Path output;

  @Mixin private ThreadsArgument threads;

  AdaptMergeCommand(Main main) {
    this.main = main;
  }

  @Override
  public Integer call() throws Exception {
    try (ModelFile opened = ModelFile.open(Catalog.resolve(model));
        ThreadPool pool = threads.pool();
        TerminalProgress progress = TerminalProgress.counting("Merging", "tensors")) {
      List<Adapter> parsed = adapters.stream().map(Adapter::parse).toList();
      int changed = Merge.write(opened, parsed, output, pool, progress);
      main.out.printf("%s: %d of %d tensors changed%n", output, changed, opened.tensors().size());
    }
    return 0;
  }
}
