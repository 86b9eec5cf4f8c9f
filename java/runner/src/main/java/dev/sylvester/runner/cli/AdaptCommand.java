package dev.sylvester.runner.cli;

import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

@Command(
    name = "adapt",
    description = "Make adapters of weights, and look at them.",
    subcommands = {
      AdaptSpectrumCommand.class,
      AdaptDecomposeCommand.class,
      AdaptTrainCommand.class,
      AdaptMergeCommand.class,
      AdaptExportCommand.class,
      AdaptInfoCommand.class
    },
    synopsisSubcommandLabel = "WHAT",
    footer = {"", "Example:", "  sylvester adapt spectrum -m smollm2 --factors 64x64"})
final class AdaptCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Override
  public void run() {
    throw new ParameterException(spec.commandLine(), "adapt what? For example: spectrum");
  }
}
