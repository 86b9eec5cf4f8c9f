package dev.sylvester.runner.cli;

import static dev.sylvester.runner.cli.Cli.assertFails;
import static dev.sylvester.runner.cli.Cli.run;
import static org.assertj.core.api.Assertions.assertThat;

import dev.sylvester.kernels.AcceptanceHead;
import dev.sylvester.kernels.AcceptanceHead.Shape;
import dev.sylvester.runner.cli.Cli.Run;
import dev.sylvester.runner.hub.Catalog;
import dev.sylvester.runner.spec.HeadFile;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Heads trained on the command line. */
class TrainHeadCliTest {
  private static final String[] NAMES = {"Ann", "Ben", "Iris", "Omar", "Rosa", "Kim"};

  @TempDir private Path folder;

  private Path data;
  private Path head;

  @BeforeEach
  void write() throws IOException {
    StringBuilder problems = new StringBuilder();
    for (int i = 0; i < 20; i++) {
      problems.append(
          ("{\"question\":\"%1$s has %2$d coins. %1$s finds %3$d more. How many coins does %1$s"
                  + " have now?\",\"answer\":\"\"}\n")
              .formatted(NAMES[i % NAMES.length], 3 + i, 2 + 3 * i));
    }
    data = Files.writeString(folder.resolve("train.jsonl"), problems);
    head = folder.resolve("head.safetensors");
  }

  private Run train(String... more) {
    List<String> arguments =
        new ArrayList<>(
            List.of(
                "train-head",
                "--target",
                "gsm-mini",
                "--draft",
                "gsm-mini-draft",
                "--data",
                data.toString(),
                "-o",
                head.toString()));
    arguments.addAll(List.of(more));
    return run(arguments.toArray(String[]::new));
  }

  private Run trainFor(String draft) {
    return run(
        "train-head",
        "--target",
        "gsm-mini",
        "--draft",
        draft,
        "--data",
        data.toString(),
        "-o",
        head.toString());
  }

  @Test
  void writesAHeadThatCanBeRead() throws IOException {
    Run run = train("--blocks", "2", "--tied", "--temperature", "1", "--seed", "7");
    assertThat(run.err()).isEmpty();
    assertThat(run.code()).isZero();
    Matcher numbers =
        Pattern.compile("loss (\\S+);.*\\n.*KL (\\S+) .*ECE (\\S+) ").matcher(run.out());
    assertThat(numbers.find()).as(run.out()).isTrue();
    for (int i = 1; i <= 3; i++) {
      assertThat(Double.parseDouble(numbers.group(i))).isBetween(0.0, 5.0);
    }
    assertThat(run.out()).startsWith(head + ": 2 blocks (tied) of width 96, shift 1.7918");
    try (Arena arena = Arena.ofConfined()) {
      AcceptanceHead read = HeadFile.read(head, arena);
      assertThat(read.shape()).isEqualTo(new Shape(96, 2, true));
      assertThat(read.shift()).isEqualTo((float) Math.log(6));
    }
    byte[] first = Files.readAllBytes(head);
    train("--blocks", "2", "--tied", "--temperature", "1", "--seed", "7", "--threads", "1");
    assertThat(Files.readAllBytes(head)).isEqualTo(first);
    train("--blocks", "2", "--tied", "--temperature", "1", "--seed", "8");
    assertThat(Files.readAllBytes(head)).isNotEqualTo(first);
  }

  /** The whole of it, as small as it may be: the shipped head came about so. */
  @Test
  void theShippedHeadIsOfTheDraft() {
    Path shipped = Catalog.resolve("gsm-mini-draft").resolve("accept-head.safetensors");
    try (Arena arena = Arena.ofConfined()) {
      assertThat(HeadFile.read(shipped, arena).shape().width()).isEqualTo(96);
    }
  }

  @Test
  void wrongArgumentsAreTold() throws IOException {
    assertFails(train("--limit", "9"), "9 prompts are too few, 10 are needed");
    assertFails(train("--limit", "0"), "limit is 0");
    assertFails(train("--mix", "1"), "mix is 1.0");
    assertFails(train("--temperature", "-1"), "temperature is -1.0");
    assertFails(train("--max-tokens", "0"), "max tokens is 0");
    assertFails(train("--blocks", "65"), "blocks is 65");
    assertFails(train("--reject-weight", "0"), "reject weight is 0.0");
    assertFails(train("--epochs", "0"), "epochs is 0");
    assertFails(train("--batch", "0"), "batch is 0");
    assertFails(train("--lr", "NaN"), "learning rate is NaN");
    assertFails(
        run("train-head", "--target", "gsm-mini", "--draft", "gsm-mini-draft", "-o", "x"),
        "--data");
    assertFails(trainFor("gsm-mini-diffusion"), "diffusion is bidirectional");
    assertFails(
        trainFor(System.getProperty("sylvester.root") + "/tests/golden/checkpoints/llama-gqa-f16"),
        "a draft needs the target's vocabulary");
    Files.writeString(data, "{}\n");
    assertFails(train(), "line 1: not an object with question and answer");
    Files.delete(data);
    assertFails(train(), "train.jsonl: no such file");
    assertThat(head).doesNotExist();
  }
}
