package dev.sylvester.runner.cli;

import dev.sylvester.kernels.Sylvester;
import dev.sylvester.runner.Model;
import dev.sylvester.runner.Session;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

@Command(
    name = "generate",
    description = "Prefill and decode speed of a model.",
    footer = {
      "",
      "Without --json, the best of several runs of some requests. With it, requests come from stdin,",
      "a line each, and every one is answered by a JSON object on a line; the first line tells what",
      "is measured:",
      "  prefill N    from an empty cache, N tokens in one go, logits of the last one",
      "  decode C T   with C tokens cached, T steps of one token, logits of each",
      "",
      "Example:",
      "  sylvester bench generate -m smollm2 --threads 2"
    })
final class BenchGenerateCommand implements Callable<Integer> {
  /** Room for a decode of some hundred steps behind 4096 tokens. */
  private static final int MOST_CONTEXT = 4608;

  private static final int RUNS = 5;
  private static final int PREFILL = 512;
  private static final int STEPS = 64;
  private static final int[] DEPTHS = {0, 1024, 4096};

  private final Main main;

  @Mixin private ModelArguments model;

  @Option(names = "--json", description = "Answer requests from stdin with JSON objects.")
  private boolean json;

  BenchGenerateCommand(Main main) {
    this.main = main;
  }

  @Override
  public Integer call() throws Exception {
    try (Model opened = model.openUpTo(MOST_CONTEXT);
        Session session = opened.newSession()) {
      SpeedTest test = new SpeedTest(session);
      if (json) {
        answerRequests(opened, test);
      } else {
        printTable(opened, test);
      }
    }
    return 0;
  }

  private void answerRequests(Model opened, SpeedTest test) throws IOException {
    Map<String, Object> description = new LinkedHashMap<>();
    description.put("engine", "sylvester");
    description.put("version", Sylvester.version());
    description.put("java", Runtime.version().toString());
    description.put("threads", opened.threads());
    description.put("kv", model.cache().toString());
    description.put("model", opened.path().getFileName().toString());
    description.put("tier", Sylvester.tier());
    Json.print(main.out, description);
    BufferedReader lines =
        new BufferedReader(new InputStreamReader(main.in, StandardCharsets.UTF_8));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      SpeedTest.Request request = SpeedTest.Request.parse(line);
      double seconds = test.seconds(request);
      Map<String, Object> answer = new LinkedHashMap<>();
      answer.put("mode", request.prefill() ? "prefill" : "decode");
      answer.put("size", request.size());
      answer.put("tokens", request.tokens());
      answer.put("seconds", seconds);
      answer.put("tok_s", request.tokens() / seconds);
      Json.print(main.out, answer);
    }
  }

  private void printTable(Model opened, SpeedTest test) {
    main.out.printf("%d threads, %s kernels%n", opened.threads(), Sylvester.tier());
    print(test, SpeedTest.Request.ofPrefill(Math.min(PREFILL, opened.context())));
    for (int depth : DEPTHS) {
      if (depth + STEPS <= opened.context()) {
        print(test, SpeedTest.Request.ofDecode(depth, STEPS));
      }
    }
  }

  private void print(SpeedTest test, SpeedTest.Request request) {
    double seconds = test.seconds(request);
    for (int i = 1; i < RUNS; i++) {
      seconds = Math.min(seconds, test.seconds(request));
    }
    main.out.printf(Locale.ROOT, "%-16s %10.1f tok/s%n", request, request.tokens() / seconds);
  }
}
