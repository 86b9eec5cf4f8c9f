package dev.sylvester.runner.cli;

import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

@Command(
    name = "eval",
    description = "Measure how good a model is.",
    subcommands = {
      EvalGsmMiniCommand.class,
      EvalGsm8kCommand.class,
      EvalDiffusionCommand.class,
      EvalKvCommand.class,
      EvalPasskeyCommand.class,
      EvalSpecCommand.class
    },
    synopsisSubcommandLabel = "WHAT",
    footer = {"", "Example:", "  sylvester eval gsm-mini --limit 100"})
final class EvalCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Override
  public void run() {
    throw new ParameterException(spec.commandLine(), "eval what? For example: gsm-mini");
  }
}
