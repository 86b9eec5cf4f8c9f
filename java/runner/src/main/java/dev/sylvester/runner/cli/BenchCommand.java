package dev.sylvester.runner.cli;

import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

@Command(
    name = "bench",
    description = "Measure speed.",
    subcommands = BenchGenerateCommand.class,
    synopsisSubcommandLabel = "WHAT",
    footer = {
      "",
      "In a checkout, `sylvester bench nn` and the other families run the kernel benchmarks.",
      "",
      "Example:",
      "  sylvester bench generate -m smollm2"
    })
final class BenchCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Override
  public void run() {
    throw new ParameterException(spec.commandLine(), "bench what? For example: generate");
  }
}
