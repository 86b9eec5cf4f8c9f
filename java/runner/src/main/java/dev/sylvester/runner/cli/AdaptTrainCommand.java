package dev.sylvester.runner.cli;

import dev.sylvester.kernels.ThreadPool;
import dev.sylvester.runner.adapt.AdapterTrainer;
import dev.sylvester.runner.adapt.Blocks;
import dev.sylvester.runner.adapt.TrainingExample;
import dev.sylvester.runner.adapt.TrainingOptions;
import dev.sylvester.runner.eval.Problem;
import dev.sylvester.runner.eval.TrainingPlot;
import dev.sylvester.runner.format.ModelFile;
import dev.sylvester.runner.hub.Catalog;
import dev.sylvester.runner.text.Tokenizer;
import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.stream.IntStream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
    name = "train",
    description = "Train an adapter of a model's linear layers; the model stays as it is.",
    footer = {
      "",
      "The prompt is the question as in eval gsm-mini, and only the answer's tokens and the end",
      "mark behind it count. Weights are held in floats, twice: 8 bytes for each parameter.",
      "",
      "Examples:",
      "  sylvester adapt train -m gsm-mini --data train.jsonl --budget 40000 -o tuned.safetensors",
      "  sylvester adapt train -m gsm-mini --data train.jsonl --method lora --rank 2 -o lora/"
    })
final class AdaptTrainCommand implements Callable<Integer> {
  /** Steps whose mean loss is told. */
  private static final int LAST = 10;

  private static final double MEBIBYTE = 1 << 20;

  private final Main main;

  @Option(
      names = {"-m", "--model"},
      paramLabel = "MODEL",
      required = true,
      description = "An alias, a file or a folder.")
  private String model;

  @Option(
      names = "--data",
      paramLabel = "FILE",
      required = true,
      description = "What to learn, a JSON object (question, answer) on each line.")
  private Path data;

  @Option(
      names = {"-o", "--output"},
      paramLabel = "PATH",
      required = true,
      description = "Where it goes: a file for soka, a new folder for lora and pissa.")
  private Path output;

  @Option(
      names = "--method",
      paramLabel = "KIND",
      defaultValue = "soka",
      description =
          "soka: the weights' principal Kronecker products, lora, or pissa: their principal"
              + " singular vectors. Default: soka.")
  private TrainingOptions.Method method;

  @Option(
      names = "--rank",
      paramLabel = "R",
      defaultValue = "auto",
      description =
          "Terms of every layer; auto: what the budget gives, without one (soka) what each layer's"
              + " spectrum suggests. Default: auto.")
  private String rank;

  @Option(
      names = "--budget",
      paramLabel = "N",
      description =
          "Trained parameters at most: with soka every layer keeps the same share of its energy,"
              + " lora and pissa have one rank for all.")
  private Long budget;

  @Option(
      names = "--factors",
      paramLabel = "RxC",
      description =
          "Size of soka's right factors, which divides every layer; balanced: both factors alike."
              + " Default: balanced.")
  private String factors;

  @Option(
      names = "--steps",
      paramLabel = "N",
      defaultValue = "200",
      description = "Steps of the optimizer, AdamW. Default: 200.")
  private int steps;

  @Option(
      names = "--batch",
      paramLabel = "N",
      defaultValue = "8",
      description = "Examples of a pass. Default: 8.")
  private int batch;

  @Option(
      names = "--accumulate",
      paramLabel = "N",
      defaultValue = "1",
      description = "Passes of a step, which take no more memory. Default: 1.")
  private int accumulate;

  @Option(
      names = "--lr",
      paramLabel = "RATE",
      defaultValue = "0.002",
      description = "The highest learning rate. Default: 0.002.")
  private float learningRate;

  @Option(
      names = "--warmup",
      paramLabel = "SHARE",
      defaultValue = "0.1",
      description =
          "Share of the steps in which the rate rises; then it falls by a cosine."
              + " Default: 0.1.")
  private float warmup;

  @Option(
      names = "--weight-decay",
      paramLabel = "W",
      defaultValue = "0",
      description = "AdamW's. Default: 0.")
  private float weightDecay;

  @Option(
      names = "--clip",
      paramLabel = "NORM",
      defaultValue = "1",
      description = "Gradients of a larger norm are scaled to it. Default: 1.")
  private float clip;

  @Option(
      names = "--seed",
      paramLabel = "S",
      defaultValue = "0",
      description = "Of the examples' order and lora's start. Default: 0.")
  private long seed;

  @Option(
      names = "--checkpoint",
      paramLabel = "FILE",
      description = "Where the training is kept, every --save-every steps and at its end.")
  private Path checkpoint;

  @Option(
      names = "--save-every",
      paramLabel = "N",
      defaultValue = "50",
      description = "Steps between checkpoints. Default: 50.")
  private int saveEvery;

  @Option(names = "--resume", description = "Go on from the checkpoint, with the same bits.")
  private boolean resume;

  @Option(names = "--svg", paramLabel = "FILE", description = "Draw the loss.")
  private Path svg;

  @Option(names = "--json", description = "Print one JSON object.")
  private boolean json;

  @Mixin private ThreadsArgument threads;

  AdaptTrainCommand(Main main) {
    this.main = main;
  }

  @Override
  public Integer call() throws Exception {
    TrainingOptions options = options();
    if (resume && checkpoint == null) {
      throw new IllegalArgumentException("--resume needs --checkpoint");
    }
    if (saveEvery < 1) {
      throw new IllegalArgumentException(
          "save-every is %d, must be at least 1".formatted(saveEvery));
    }
    if (method != TrainingOptions.Method.SOKA && Files.exists(output)) {
      throw new FileAlreadyExistsException(output.toString(), null, "exists already");
    }
    try (ModelFile file = ModelFile.open(Catalog.resolve(model));
        ThreadPool pool = threads.pool()) {
      List<TrainingExample> examples = examples(file);
      requireMemory(AdapterTrainer.bytes(file.config(), options, examples));
      try (AdapterTrainer trainer = trainer(file, options, examples, pool)) {
        if (resume) {
          trainer.resume(checkpoint);
        }
        train(trainer);
        trainer.write(output);
        if (svg != null) {
          TrainingPlot.write(trainer.history(), "%s, %s".formatted(model, name()), svg);
        }
        report(trainer);
      }
    }
    return 0;
  }

  private TrainingOptions options() {
    if (factors != null && method != TrainingOptions.Method.SOKA) {
      throw new IllegalArgumentException("--factors are those of soka, not of " + name());
    }
    if (budget != null && budget < 1) {
      throw new IllegalArgumentException("budget is %d, must be at least 1".formatted(budget));
    }
    return new TrainingOptions(
        method,
        rank(),
        budget == null ? 0 : budget,
        factors == null ? Blocks.BALANCED : Blocks.parse(factors),
        steps,
        batch,
        accumulate,
        learningRate,
        warmup,
        weightDecay,
        clip,
        seed);
  }

  private int rank() {
    if (rank.equals("auto")) {
      return 0;
    }
    if (!rank.matches("[1-9][0-9]{0,5}")) {
      throw new IllegalArgumentException(
          "rank is '%s', must be a number from 1 on or auto".formatted(rank));
    }
    return Integer.parseInt(rank);
  }

  private String name() {
    return method.name().toLowerCase(Locale.ROOT);
  }

  private List<TrainingExample> examples(ModelFile file) throws IOException {
    try (Tokenizer tokenizer = Tokenizer.of(file)) {
      TreeSet<Integer> ends = new TreeSet<>(tokenizer.eos());
      ends.addAll(file.config().eosIds());
      int[] end = ends.stream().limit(1).mapToInt(Integer::intValue).toArray();
      return Problem.read(data).stream()
          .map(
              problem ->
                  TrainingExample.of(
                      tokenizer.encode(problem.question(), true),
                      IntStream.concat(
                              IntStream.of(tokenizer.encode(problem.answer(), false)),
                              IntStream.of(end))
                          .toArray()))
          .toList();
    }
  }

  private static void requireMemory(long bytes) {
    ProcessMemory.availableBytes()
        .ifPresent(
            available -> {
              if (bytes > available) {
                throw new IllegalArgumentException(
                    String.format(
                        Locale.ROOT,
                        "training takes %,.0f MiB and %,.0f are available: take a smaller model or"
                            + " --batch",
                        bytes / MEBIBYTE,
                        available / MEBIBYTE));
              }
            });
  }

  private static AdapterTrainer trainer(
      ModelFile file, TrainingOptions options, List<TrainingExample> examples, ThreadPool pool) {
    try (TerminalProgress progress = TerminalProgress.counting("Preparing", "layers")) {
      return new AdapterTrainer(file, options, examples, pool, progress);
    }
  }

  private void train(AdapterTrainer trainer) throws IOException {
    try (TerminalProgress progress = TerminalProgress.counting("Training", "steps")) {
      while (!trainer.finished()) {
        long step = trainer.step().number();
        if (checkpoint != null && (step % saveEvery == 0 || trainer.finished())) {
          trainer.save(checkpoint);
        }
        progress.update(step, steps);
      }
    }
  }

  private void report(AdapterTrainer trainer) {
    List<AdapterTrainer.Step> history = trainer.history();
    double last =
        history.subList(Math.max(0, history.size() - LAST), history.size()).stream()
            .mapToDouble(AdapterTrainer.Step::loss)
            .average()
            .orElseThrow();
    if (json) {
      Map<String, Object> object = new LinkedHashMap<>();
      object.put("output", output.toString());
      object.put("method", name());
      object.put("parameters", trainer.parameters());
      object.put("ranks", trainer.ranks());
      object.put("loss", last);
      object.put("losses", history.stream().map(AdapterTrainer.Step::loss).toList());
      object.put(
          "gradient_norms", history.stream().map(AdapterTrainer.Step::gradientNorm).toList());
      Json.print(main.out, object);
    } else {
      main.out.printf(
          Locale.ROOT,
          "%s: %s, %d modules, %,d parameters, %d steps, loss %.4f at first and %.4f at last%n",
          output,
          name(),
          trainer.ranks().size(),
          trainer.parameters(),
          history.size(),
          history.getFirst().loss(),
          last);
    }
  }
}
