package dev.sylvester.runner.cli;

import dev.sylvester.runner.hub.Catalog;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

@Command(
    name = "pull",
    description = "Bring a model into the user's cache; afterwards no network is needed.",
    footer = {
      "",
      "A download that broke off goes on where it stopped. An alias is checked against its SHA-256.",
      "A .safetensors address also brings config.json and the tokenizer from beside it.",
      "The cache is $XDG_CACHE_HOME/sylvester or ~/.cache/sylvester.",
      "",
      "Examples:",
      "  sylvester pull smollm2",
      "  sylvester pull https://example.org/models/tiny.gguf --sha256 9f86d081..."
    })
final class PullCommand implements Callable<Integer> {
  private final Main main;

  @Parameters(paramLabel = "MODEL", description = "An alias (sylvester models) or an address.")
  private String source;

  @Option(names = "--sha256", paramLabel = "HEX", description = "Expected digest of an address.")
  private String sha256;

  PullCommand(Main main) {
    this.main = main;
  }

  @Override
  public Integer call() throws Exception {
    if (sha256 != null && !sha256.matches("[0-9a-fA-F]{64}")) {
      throw new IllegalArgumentException(
          "--sha256 is '%s', must be 64 hexadecimal digits".formatted(sha256));
    }
    Path path;
    try (TerminalProgress progress = TerminalProgress.start("Pulling " + source)) {
      path = Catalog.pull(source, sha256, progress);
    }
    main.out.println(path);
    return 0;
  }
}
