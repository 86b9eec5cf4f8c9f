package dev.sylvester.runner.cli;

import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.InputStream;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.NoSuchFileException;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.IFactory;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ScopeType;
import picocli.CommandLine.Spec;
import picocli.CommandLine.UnmatchedArgumentException;

/** The command line. Exit codes: 0 success, 2 any error, told in one line on stderr. */
@Command(
    name = "sylvester",
    description = "Runs language models on native kernels, from Java.",
    subcommands = {
      DemoCommand.class,
      GenerateCommand.class,
      ChatCommand.class,
      PerplexityCommand.class,
      EvalCommand.class,
      CalibrateCommand.class,
      TrainHeadCommand.class,
      AdaptCommand.class,
      PullCommand.class,
      ModelsCommand.class,
      InfoCommand.class,
      BenchCommand.class
    },
    synopsisSubcommandLabel = "COMMAND",
    commandListHeading = "%nCommands:%n",
    footer = {
      "  test        Run every test, native and Java (in a checkout).",
      "",
      "Examples:",
      "  sylvester demo                                  a small embedded model solves word"
          + " problems",
      "  sylvester pull smollm2                          bring SmolLM2-135M-Instruct, 98 MB",
      "  sylvester chat -m smollm2                       talk to it",
      "  sylvester generate -m smollm2 -p 'The sea is'   continue a text",
      "  sylvester COMMAND --help                        what a command can do"
    })
public final class Main implements Runnable {
  /** Exit code of every error. */
  static final int ERROR = 2;

  final InputStream in;
  final PrintStream out;
  final PrintStream err;

  @Option(
      names = "--verbose",
      scope = ScopeType.INHERIT,
      description = "Show the stack trace of an error.")
  boolean verbose;

  @Option(
      names = {"-h", "--help"},
      usageHelp = true,
      scope = ScopeType.INHERIT,
      description = "Show this help.")
  private boolean help;

  @Spec private CommandSpec spec;

  private Main(InputStream in, PrintStream out, PrintStream err) {
    this.in = in;
    this.out = out;
    this.err = err;
  }

  /** Runs one command and ends the process with its exit code. */
  public static void main(String[] arguments) {
    // Text is UTF-8 whatever the locale says: models speak nothing else.
    PrintStream out = stream(FileDescriptor.out);
    PrintStream err = stream(FileDescriptor.err);
    int code = run(new FileInputStream(FileDescriptor.in), out, err, arguments);
    out.flush();
    System.exit(code);
  }

  private static PrintStream stream(FileDescriptor descriptor) {
    return new PrintStream(new FileOutputStream(descriptor), true, StandardCharsets.UTF_8);
  }

  /** Runs one command and returns its exit code. */
  static int run(InputStream in, PrintStream out, PrintStream err, String... arguments) {
    Main main = new Main(in, out, err);
    CommandLine line = new CommandLine(main, main.factory());
    // A prompt may begin with an @ sign.
    line.setExpandAtFiles(false);
    line.setCaseInsensitiveEnumValuesAllowed(true);
    line.setUsageHelpWidth(100);
    line.setUsageHelpAutoWidth(false);
    line.setOut(new PrintWriter(out, true));
    line.setErr(new PrintWriter(err, true));
    line.setParameterExceptionHandler(main::badArguments);
    line.setExecutionExceptionHandler((e, command, parsed) -> main.failed(e));
    inOrder(line);
    try {
      return line.execute(arguments);
    } catch (Error e) {
      // A missing library or memory is the user's business as much as a missing file.
      return main.failed(e);
    }
  }

  /** Options in the order of importance that the commands declare. */
  private static void inOrder(CommandLine line) {
    line.getCommandSpec().usageMessage().sortOptions(false).sortSynopsis(false);
    line.getSubcommands().values().forEach(Main::inOrder);
  }

  /** Hands this object to commands whose constructor wants it. */
  private IFactory factory() {
    IFactory standard = CommandLine.defaultFactory();
    return new IFactory() {
      @Override
      public <K> K create(Class<K> type) throws Exception {
        try {
          return type.getDeclaredConstructor(Main.class).newInstance(Main.this);
        } catch (NoSuchMethodException e) {
          return standard.create(type);
        }
      }
    };
  }

  /** Without a command: the help. */
  @Override
  public void run() {
    spec.commandLine().usage(out);
  }

  private int badArguments(ParameterException e, String[] arguments) {
    CommandLine command = e.getCommandLine();
    String help = command.getCommandSpec().qualifiedName();
    String message = firstLine(e);
    if (e instanceof UnmatchedArgumentException unmatched && !unmatched.isUnknownOption()) {
      message = "unknown command or argument '%s'".formatted(unmatched.getUnmatched().getFirst());
    }
    return failed(e, "%s (%s --help tells what is possible)".formatted(message, help));
  }

  private int failed(Throwable e) {
    return failed(e, firstLine(e));
  }

  private int failed(Throwable e, String message) {
    out.flush();
    err.println("sylvester: " + message);
    if (verbose) {
      e.printStackTrace(err);
    }
    return ERROR;
  }

  private static String firstLine(Throwable e) {
    String message = e.getMessage();
    if (message == null || message.isBlank()) {
      return e.getClass().getSimpleName();
    }
    return switch (e) {
      // Their messages are only the file's name.
      case NoSuchFileException f -> f.getMessage() + ": no such file";
      case AccessDeniedException f -> f.getMessage() + ": access denied";
      default -> message.lines().findFirst().orElse(message);
    };
  }
}
