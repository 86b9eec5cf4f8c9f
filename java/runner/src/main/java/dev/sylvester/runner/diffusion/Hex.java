package dev.sylvester.runner.diffusion;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Function;

/**
 * Hidden semi-autoregressive experts (HEX, arXiv 2510.05040): one prompt with several block sizes
 * and seeds, and the most frequent answer. All canvases are read together; those that cannot change
 * the vote any more are not finished.
 *
 * @param blocks block sizes
 * @param seeds how many seeds with each
 * @param together canvases that are read at once, at least 1; fewer of them let a clear vote end
 *     sooner, more make better use of a pass
 * @param answer the answer in a text; empty: it has none, and no vote
 */
public record Hex(List<Integer> blocks, int seeds, int together, Function<int[], String> answer) {

  /** Checks the values. */
  public Hex {
    blocks = List.copyOf(blocks);
    Objects.requireNonNull(answer, "answer");
    if (blocks.isEmpty()) {
      throw new IllegalArgumentException("there are no block sizes");
    }
    if (seeds < 1) {
      throw new IllegalArgumentException("seeds is %d, must be at least 1".formatted(seeds));
    }
    if (together < 1) {
      throw new IllegalArgumentException("together is %d, must be at least 1".formatted(together));
    }
  }

  /**
   * A path.
   *
   * @param block its block size
   * @param seed its seed
   * @param answer what it says
   * @param result its canvas
   */
  public record Path(int block, long seed, String answer, DiffusionResult result) {}

  /**
   * A vote.
   *
   * @param answer the most frequent one; among equals that of the smallest block; empty when there
   *     is none
   * @param winner the path of that answer with the smallest block
   * @param paths all that were finished
   * @param planned how many there were
   * @param seconds from first to last
   */
  public record Vote(String answer, Path winner, List<Path> paths, int planned, double seconds) {}

  /**
   * Fills the canvas of a request in all ways and votes.
   *
   * @param request its schedule is replaced: the same number of steps for each block size
   * @param steps of each path
   * @param early whether to end when the vote is decided
   */
  public Vote vote(DiffusionDecoder decoder, DiffusionRequest request, int steps, boolean early) {
    long start = System.nanoTime();
    List<DiffusionRequest> requests = new ArrayList<>();
    List<Path> plan = new ArrayList<>();
    for (int seed = 0; seed < seeds; seed++) {
      for (int block : blocks) {
        long own = request.sampling().seed() + seed;
        requests.add(
            request
                .withSchedule(new SemiAutoregressive(block, steps))
                .withSampling(request.sampling().withSeed(own)));
        plan.add(new Path(block, own, "", null));
      }
    }
    List<Path> paths = new ArrayList<>();
    for (int from = 0; from < plan.size(); from += together) {
      int first = from;
      int to = Math.min(plan.size(), from + together);
      List<Path> before = List.copyOf(paths);
      List<DiffusionResult> results =
          decoder.fill(
              requests.subList(from, to),
              filled -> early && isDecided(with(before, plan, first, filled), plan.size()));
      paths = with(before, plan, first, results);
      if (early && isDecided(paths, plan.size())) {
        break;
      }
    }
    Path winner = winner(paths);
    return new Vote(
        winner.answer(), winner, paths, plan.size(), (System.nanoTime() - start) * 1e-9);
  }

  private List<Path> with(
      List<Path> before, List<Path> plan, int first, List<DiffusionResult> results) {
    List<Path> paths = new ArrayList<>(before);
    for (int i = 0; i < results.size(); i++) {
      DiffusionResult result = results.get(i);
      if (result != null) {
        Path planned = plan.get(first + i);
        String said = answer.apply(result.tokens());
        paths.add(new Path(planned.block(), planned.seed(), said, result));
      }
    }
    return paths;
  }

  /** Whether the other paths, all for the second, could not change the answer. */
  static boolean isDecided(List<Path> paths, int planned) {
    Map<String, Integer> votes = votes(paths);
    int first = 0;
    int second = 0;
    for (int count : votes.values()) {
      second = Math.max(second, Math.min(first, count));
      first = Math.max(first, count);
    }
    return first - second > planned - paths.size();
  }

  /** The path whose answer wins. */
  static Path winner(List<Path> paths) {
    Map<String, Integer> votes = votes(paths);
    Path best = null;
    for (Path path : paths) {
      if (best == null || isBetter(path, best, votes)) {
        best = path;
      }
    }
    return best;
  }

  private static boolean isBetter(Path path, Path than, Map<String, Integer> votes) {
    int count = votes.getOrDefault(path.answer(), 0);
    int other = votes.getOrDefault(than.answer(), 0);
    return count != other ? count > other : path.block() < than.block();
  }

  private static Map<String, Integer> votes(List<Path> paths) {
    Map<String, Integer> votes = new HashMap<>();
    for (Path path : paths) {
      if (!path.answer().isEmpty()) {
        votes.merge(path.answer(), 1, Integer::sum);
      }
    }
    return votes;
  }

  /** How often each answer was given, in the order of the paths. */
  public static Map<String, Integer> tally(Vote vote) {
    Map<String, Integer> tally = new LinkedHashMap<>();
    vote.paths().forEach(path -> tally.merge(path.answer(), 1, Integer::sum));
    return tally;
  }
}
