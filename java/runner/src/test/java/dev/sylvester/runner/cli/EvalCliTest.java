package dev.sylvester.runner.cli;

import static dev.sylvester.runner.cli.Cli.run;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class EvalCliTest {
  @TempDir private Path folder;

  @Test
  void countsProblemsThatAreSolved() {
    JsonNode json = run("eval", "gsm-mini", "--limit", "20", "--json").json();
    assertThat(json.fieldNames())
        .toIterable()
        .containsExactly("accuracy", "right", "problems", "decode_tok_s", "kv_bytes_per_token");
    assertThat(json.get("problems").intValue()).isEqualTo(20);
    assertThat(json.get("right").intValue()).isEqualTo(17);
    assertThat(json.get("accuracy").doubleValue()).isEqualTo(17 / 20.0);
    assertThat(run("eval", "gsm-mini", "--limit", "2").out())
        .matches("[0-2] of 2 right, [0-9.]+ %, [0-9.]+ tok/s\n");
  }

  @Test
  void showsSolvedProblemsFirst() throws IOException {
    Path data =
        Files.writeString(
            folder.resolve("data.jsonl"),
            "{\"question\":\"1 and 1?\",\"answer\":\"1+1=2 #### 2\",\"source\":\"x\"}\n\n");
    String[] arguments = {
      "eval", "gsm8k", "--data", data.toString(), "--shots", data.toString(), "--shot-count", "1"
    };
    assertThat(run(arguments).out()).contains("of 1 right");
    arguments[arguments.length - 1] = "2";
    Cli.assertFails(run(arguments), "shot count is 2, must be 1..1");
  }
}
