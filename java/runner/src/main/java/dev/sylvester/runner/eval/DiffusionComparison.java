package dev.sylvester.runner.eval;

import dev.sylvester.runner.CacheOptions;
import dev.sylvester.runner.Model;
import dev.sylvester.runner.diffusion.Decoding;
import dev.sylvester.runner.diffusion.Denoiser;
import dev.sylvester.runner.diffusion.DiffusionDecoder;
import dev.sylvester.runner.diffusion.DiffusionRequest;
import dev.sylvester.runner.diffusion.DiffusionResult;
import dev.sylvester.runner.diffusion.Hex;
import dev.sylvester.runner.diffusion.Predictions;
import dev.sylvester.runner.diffusion.StopRule;
import dev.sylvester.runner.hub.Progress;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Ways to fill canvases, on the same word problems. */
public final class DiffusionComparison {
  private DiffusionComparison() {}

  /**
   * How a way did.
   *
   * @param setup the way
   * @param right problems solved
   * @param problems all of them
   * @param passes of the model, in all; a vote has those of all canvases that were finished
   * @param rows positions that went through the layers, in all
   * @param tokens of answers, in all
   * @param seconds that took
   */
  public record Row(
      DiffusionSetup setup,
      int right,
      int problems,
      long passes,
      long rows,
      long tokens,
      double seconds) {
    /** Share of the problems, 0..1. */
    public double accuracy() {
      return (double) right / problems;
    }

    /** Passes of one problem. */
    public double meanPasses() {
      return (double) passes / problems;
    }

    /** Speed. */
    public double tokensPerSecond() {
      return tokens / seconds;
    }

    private Row plus(Model model, DiffusionDecoder decoder, Problem problem) {
      DiffusionRequest request = setup.request(model, problem);
      if (setup.vote() == null) {
        DiffusionResult result = decoder.fill(request);
        boolean solved = problem.solvedBy(text(model, result.tokens()));
        return plus(solved, List.of(result), result.seconds());
      }
      Hex.Vote vote = setup.hex(model).vote(decoder, request, setup.steps(), setup.vote().early());
      return plus(
          vote.answer().equals(problem.result()),
          vote.paths().stream().map(Hex.Path::result).toList(),
          vote.seconds());
    }

    private Row plus(boolean solved, List<DiffusionResult> filled, double time) {
      return new Row(
          setup,
          right + (solved ? 1 : 0),
          problems + 1,
          passes + filled.stream().mapToLong(DiffusionResult::forwardPasses).sum(),
          rows + filled.stream().mapToLong(DiffusionResult::rowsComputed).sum(),
          tokens + setup.length(),
          seconds + time);
    }
  }

  /** Problem after problem, each in all ways: a busy machine is equally busy for all of them. */
  public static List<Row> run(
      Model model, List<Problem> problems, List<DiffusionSetup> setups, Progress progress) {
    List<Row> rows = new ArrayList<>();
    setups.forEach(setup -> rows.add(new Row(setup, 0, 0, 0, 0, 0, 0)));
    Map<CacheOptions, Denoiser> denoisers = new HashMap<>();
    try {
      setups.forEach(setup -> denoisers.computeIfAbsent(setup.kv(), model::newDenoiser));
      List<DiffusionDecoder> decoders =
          setups.stream().map(setup -> new DiffusionDecoder(denoisers.get(setup.kv()))).toList();
      long done = 0;
      for (Problem problem : problems) {
        for (int i = 0; i < rows.size(); i++) {
          rows.set(i, rows.get(i).plus(model, decoders.get(i), problem));
          progress.update(++done, (long) problems.size() * setups.size());
        }
      }
    } finally {
      denoisers.values().forEach(Denoiser::close);
    }
    return rows;
  }

  /** A filled canvas up to its end. */
  public static String text(Model model, int[] tokens) {
    return model.tokenizer().decode(DiffusionResult.before(tokens, model.endTokens()), true);
  }

  /**
   * How early answers are there: for each step the share of the problems that would be solved if
   * all unknown tokens were the most probable ones from there on; last, what was solved in the end.
   * The rule takes the steps that the setup says.
   */
  public static double[] emergence(
      Model model, List<Problem> problems, DiffusionSetup setup, Progress progress) {
    double[] shares = new double[setup.steps() + 1];
    try (Denoiser denoiser = model.newDenoiser(setup.kv())) {
      DiffusionDecoder decoder = new DiffusionDecoder(denoiser);
      long done = 0;
      for (Problem problem : problems) {
        Watch watch = new Watch(model, problem, shares);
        DiffusionResult result = decoder.fill(setup.request(model, problem).withStop(watch));
        if (problem.solvedBy(text(model, result.tokens()))) {
          shares[setup.steps()]++;
        }
        progress.update(++done, problems.size());
      }
    }
    for (int i = 0; i < shares.length; i++) {
      shares[i] /= problems.size();
    }
    return shares;
  }

  /** Never stops, but looks at what stopping would give. */
  private record Watch(Model model, Problem problem, double[] solved) implements StopRule {
    @Override
    public String name() {
      return "watch";
    }

    @Override
    public void watch(Decoding decoding, Predictions wanted) {
      for (int i = decoding.canvas().promptLength(); i < decoding.canvas().tokens().length; i++) {
        wanted.add(i);
      }
    }

    @Override
    public boolean isSure(Predictions predictions, Decoding decoding) {
      int from = decoding.canvas().promptLength();
      int[] tokens = new int[decoding.canvas().length()];
      for (int i = 0; i < tokens.length; i++) {
        tokens[i] = decoding.bestToken(from + i, predictions);
      }
      if (problem.solvedBy(text(model, tokens))) {
        solved[decoding.step()]++;
      }
      return false;
    }
  }
}
