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

  @Test
  void asksForNumbers() {
    String[] arguments = {
      "eval", "passkey", "--lengths", "300,400", "--depths", "0,1", "--trials", "1", "--json"
    };
    JsonNode cells = run(arguments).json().get("cells");
    assertThat(cells.findValuesAsText("length")).containsExactly("300", "300", "400", "400");
    assertThat(cells.findValuesAsText("depth")).containsExactly("0.0", "1.0", "0.0", "1.0");
    for (JsonNode cell : cells) {
      assertThat(cell.get("found").intValue()).isBetween(0, 1);
    }
    assertThat(run("eval", "passkey", "--lengths", "300", "--depths", "0.5").out())
        .matches(" +length +0.50\n +300 +[0-5]/5\n");
    Cli.assertFails(run("eval", "passkey", "--lengths", "20"), "length is 20");
    Cli.assertFails(run("eval", "passkey", "--lengths", "300", "--depths", "2"), "must be 0..1");
    Cli.assertFails(run("eval", "passkey", "--trials", "0"), "trials is 0");
  }
}
