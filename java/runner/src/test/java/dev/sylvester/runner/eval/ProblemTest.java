package dev.sylvester.runner.eval;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ProblemTest {
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "so 3+4=7. #### 7|7",
        "#### 1,234|1234",
        "#### -5.|-5",
        "####$12.50|12.50",
        "#### 7 Question: more #### 9|7",
        "no mark 7|''",
        "#### none|''"
      })
  void theResultStandsBehindTheFirstMark(String solution, String result) {
    assertThat(Problem.result(solution)).isEqualTo(result);
  }

  @Test
  void onlyTheSameNumberSolvesIt() {
    Problem problem = new Problem("q", "a #### 1,000");
    assertThat(problem.solvedBy("b #### 1000")).isTrue();
    assertThat(problem.solvedBy("b #### 100")).isFalse();
    assertThat(problem.solvedBy("1000")).isFalse();
    assertThat(new Problem("q", "unknown").solvedBy("unknown")).isFalse();
  }

  @Test
  void everyProblemOfTheTestSetHasAResult() throws IOException {
    Path data = Path.of(System.getProperty("sylvester.root"), "tests/data/gsm8k/test.jsonl");
    List<Problem> problems = Problem.read(data);
    assertThat(problems).hasSize(1319);
    assertThat(problems).allSatisfy(p -> assertThat(p.result()).matches("-?[0-9]+(\\.[0-9]+)?"));
  }
}
