package dev.sylvester.runner.eval;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.sylvester.runner.text.Tokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;

/**
 * A word problem in GSM8K's form (Cobbe et al. 2021).
 *
 * @param question the problem
 * @param answer a worked solution that ends in {@code #### N}
 */
@JsonIgnoreProperties(ignoreUnknown = true)
public record Problem(String question, String answer) {
  private static final ObjectMapper MAPPER = new ObjectMapper();
  private static final Pattern RESULT = Pattern.compile("#### *\\$?(-?[0-9.,]+)");

  /** Both are there. */
  public Problem {
    Objects.requireNonNull(question, "question");
    Objects.requireNonNull(answer, "answer");
  }

  /**
   * Reads a file with a JSON object on each line.
   *
   * @throws IllegalArgumentException that tells the first line that is no problem
   */
  public static List<Problem> read(Path file) throws IOException {
    List<Problem> problems = new ArrayList<>();
    int number = 0;
    for (String line : Files.readAllLines(file)) {
      number++;
      if (line.isBlank()) {
        continue;
      }
      try {
        problems.add(MAPPER.readValue(line, Problem.class));
      } catch (JsonProcessingException e) {
        throw new IllegalArgumentException(
            "%s, line %d: not an object with question and answer".formatted(file, number), e);
      }
    }
    return problems;
  }

  /**
   * The first of some problems.
   *
   * @param limit at least 1; all when there are fewer
   */
  public static List<Problem> first(List<Problem> problems, int limit) {
    if (limit < 1) {
      throw new IllegalArgumentException("limit is %d, must be at least 1".formatted(limit));
    }
    return problems.subList(0, Math.min(limit, problems.size()));
  }

  /** Whether a solution ends in this problem's number. */
  public boolean solvedBy(String solution) {
    String result = result(solution);
    return !result.isEmpty() && result.equals(result());
  }

  /** Question and answer as a model trained on problems reads them. */
  public int[] tokens(Tokenizer tokenizer) {
    int[] prompt = tokenizer.encode(question, true);
    int[] solution = tokenizer.encode(answer, false);
    return IntStream.concat(IntStream.of(prompt), IntStream.of(solution)).toArray();
  }

  /** The number that is asked for. */
  public String result() {
    return result(answer);
  }

  /** What a vote counts: the number behind the first {@code ####}, else the whole text. */
  public static String answer(String solution) {
    String result = result(solution);
    return result.isEmpty() ? solution.strip() : result;
  }

  /**
   * The number behind the first {@code ####}, without thousands separators and a full stop; empty
   * when there is none.
   */
  static String result(String solution) {
    Matcher matcher = RESULT.matcher(solution);
    return matcher.find() ? matcher.group(1).replace(",", "").replaceAll("\\.$", "") : "";
  }
}
