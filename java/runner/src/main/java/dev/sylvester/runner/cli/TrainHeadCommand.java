package dev.sylvester.runner.cli;

import dev.sylvester.kernels.ThreadPool;
import dev.sylvester.runner.Model;
import dev.sylvester.runner.eval.Problem;
import dev.sylvester.runner.spec.HeadFile;
import dev.sylvester.runner.spec.HeadScore;
import dev.sylvester.runner.spec.HeadTraining;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
    name = "train-head",
    description = "Train the head that tells a draft when to stop (SpecDec++).",
    footer = {
      "",
      "The target answers the questions, the draft says what it would have said, and the head",
      "learns from the draft's hidden states which of its tokens are accepted. Of ten questions",
      "eight are for training, one for calibration and one for the score, which is printed: KL",
      "should be below that of a constant, ECE at most 0.03.",
      "",
      "Example:",
      "  sylvester train-head --target gsm-mini --draft gsm-mini-draft --data train.jsonl"
          + " -o head.safetensors"
    })
final class TrainHeadCommand implements Callable<Integer> {
  private static final int DEFAULT_CONTEXT = 1024;

  private final Main main;

  @Option(
      names = "--target",
      paramLabel = "MODEL",
      required = true,
      description = "The model that verifies.")
  private String target;

  @Option(
      names = "--draft",
      paramLabel = "MODEL",
      required = true,
      description = "The model that drafts, with the same tokens.")
  private String draft;

  @Option(
      names = "--data",
      paramLabel = "FILE",
      required = true,
      description = "Questions, a JSON object (question, answer) on each line.")
  private Path data;

  @Option(
      names = {"-o", "--output"},
      paramLabel = "FILE",
      required = true,
      description = "Where the head goes, as safetensors.")
  private Path output;

  @Option(
      names = "--blocks",
      paramLabel = "N",
      defaultValue = "1",
      description = "Residual blocks; 0: a linear head. Default: ${DEFAULT-VALUE}.")
  private int blocks;

  @Option(names = "--tied", description = "One block, as often as --blocks says.")
  private boolean tied;

  @Option(
      names = "--temperature",
      paramLabel = "T",
      defaultValue = "0",
      description = "Of target and draft, where the head will serve. Default: 0.")
  private float temperature;

  @Option(
      names = "--mix",
      paramLabel = "P",
      defaultValue = "0.15",
      description = "How often the draft reads the target's token, not its own. Default: 0.15.")
  private double mix;

  @Option(
      names = "--reject-weight",
      paramLabel = "W",
      defaultValue = "6",
      description = "Weight of rejections in the loss. Default: 6.")
  private float rejectWeight;

  @Option(
      names = "--epochs",
      paramLabel = "N",
      defaultValue = "3",
      description = "Passes over the data. Default: 3.")
  private int epochs;

  @Option(
      names = "--batch",
      paramLabel = "N",
      defaultValue = "512",
      description = "Tokens of a step. Default: 512.")
  private int batch;

  @Option(
      names = "--lr",
      paramLabel = "RATE",
      defaultValue = "0.002",
      description = "The highest learning rate. Default: 0.002.")
  private float learningRate;

  @Option(
      names = {"-n", "--max-tokens"},
      paramLabel = "N",
      defaultValue = "256",
      description = "Most tokens of an answer. Default: 256.")
  private int maxTokens;

  @Option(names = "--limit", paramLabel = "N", description = "Use the first N questions only.")
  private Integer limit;

  @Option(
      names = "--seed",
      paramLabel = "S",
      defaultValue = "0",
      description = "Of all random numbers. Default: 0.")
  private long seed;

  @Mixin private ThreadsArgument threads;

  TrainHeadCommand(Main main) {
    this.main = main;
  }

  @Override
  public Integer call() throws Exception {
    HeadTraining.DataOptions how = new HeadTraining.DataOptions(temperature, mix, maxTokens, seed);
    HeadTraining.TrainingOptions training =
        new HeadTraining.TrainingOptions(blocks, tied, rejectWeight, epochs, batch, learningRate);
    List<Problem> problems = Problem.read(data);
    if (limit != null) {
      problems = Problem.first(problems, limit);
    }
    try (Model targetModel = open(target);
        Model draftModel = open(draft);
        HeadTraining samples = collect(targetModel, draftModel, problems, how);
        ThreadPool pool = ThreadPool.of(targetModel.threads());
        Arena arena = Arena.ofShared();
        TerminalProgress progress = TerminalProgress.counting("Training", "steps")) {
      HeadTraining.Result result = samples.train(training, pool, arena, progress);
      HeadFile.write(output, result.head(), rejectWeight);
      report(result);
    }
    return 0;
  }

  private Model open(String name) {
    ModelArguments arguments = new ModelArguments(main);
    arguments.model = name;
    arguments.threads = threads;
    return arguments.openUpTo(DEFAULT_CONTEXT);
  }

  private HeadTraining collect(
      Model targetModel, Model draftModel, List<Problem> problems, HeadTraining.DataOptions how) {
    List<int[]> prompts =
        problems.stream()
            .map(problem -> targetModel.tokenizer().encode(problem.question(), true))
            .toList();
    try (TerminalProgress progress = TerminalProgress.counting("Collecting", "questions")) {
      return HeadTraining.collect(targetModel, draftModel, prompts, how, progress);
    }
  }

  private void report(HeadTraining.Result result) {
    HeadScore score = result.score();
    main.out.printf(
        Locale.ROOT,
        "%s: %d blocks%s of width %d, shift %.4f, scale %.4f%n",
        output,
        blocks,
        tied ? " (tied)" : "",
        result.head().shape().width(),
        result.head().shift(),
        result.head().scale());
    main.out.printf(
        Locale.ROOT,
        "%,d tokens for training, loss %.4f; %,d held out, %.1f %% accepted%n",
        result.trainRows(),
        result.loss(),
        score.rows(),
        100 * score.meanLabel());
    main.out.printf(
        Locale.ROOT,
        "held out: KL %.4f (a constant: %.4f), ECE %.4f (with the loss's weights: %.4f)%n",
        score.divergence(),
        score.constantDivergence(),
        score.calibrationError(),
        result.raw().calibrationError());
  }
}
