package dev.sylvester.runner;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;
import dev.sylvester.runner.diffusion.AnswerRegion;
import dev.sylvester.runner.diffusion.CachePolicy;
import dev.sylvester.runner.diffusion.Canvas;
import dev.sylvester.runner.diffusion.CommitRule;
import dev.sylvester.runner.diffusion.DelayedKv;
import dev.sylvester.runner.diffusion.Denoiser;
import dev.sylvester.runner.diffusion.DiffusionDecoder;
import dev.sylvester.runner.diffusion.DiffusionRequest;
import dev.sylvester.runner.diffusion.EntropyBound;
import dev.sylvester.runner.diffusion.EosPrefix;
import dev.sylvester.runner.diffusion.Factor;
import dev.sylvester.runner.diffusion.FixedK;
import dev.sylvester.runner.diffusion.GapThreshold;
import dev.sylvester.runner.diffusion.JointThreshold;
import dev.sylvester.runner.diffusion.Prophet;
import dev.sylvester.runner.diffusion.Sampling;
import dev.sylvester.runner.diffusion.SemiAutoregressive;
import dev.sylvester.runner.diffusion.StopRule;
import dev.sylvester.runner.diffusion.Threshold;
import java.lang.management.ManagementFactory;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** What a step of a small Dream-like model leaves on the Java heap: nothing. */
class DiffusionAllocationTest {
  private static final int LENGTH = 32;

  /** The virtual machine itself allocates while call sites are linked and code is compiled. */
  private static final int WARM_UP = 600;

  private static final GapThreshold NEVER_SURE = GapThreshold.staged(1e9, 1e9, 1e9);

  /** One token a step, so that there are as many steps as tokens. */
  static Stream<Arguments> ways() {
    CommitRule fixed = new FixedK(FixedK.Score.CONFIDENCE);
    StopRule never = StopRule.NEVER;
    StopRule eos = new EosPrefix(Set.of(1000));
    StopRule behind = Prophet.of(AnswerRegion.behind(new int[] {5}, 3), NEVER_SURE);
    StopRule rest = Prophet.of(AnswerRegion.rest(Set.of(1)), NEVER_SURE);
    StopRule placed = Prophet.of(AnswerRegion.at(20, 5), NEVER_SURE);
    return Stream.of(
        Arguments.of(fixed, CachePolicy.NONE, never, Sampling.GREEDY),
        Arguments.of(fixed, CachePolicy.NONE, eos, Sampling.GREEDY.withTemperature(0.5)),
        Arguments.of(fixed, CachePolicy.NONE, behind, Sampling.GREEDY),
        Arguments.of(fixed, CachePolicy.DUAL, placed, Sampling.GREEDY),
        Arguments.of(fixed, CachePolicy.PREFIX, rest, Sampling.GREEDY),
        Arguments.of(fixed, new DelayedKv(4), never, Sampling.GREEDY),
        Arguments.of(new JointThreshold(1, 1, 2), CachePolicy.DUAL, never, Sampling.GREEDY),
        Arguments.of(new Threshold(1), CachePolicy.DUAL, never, Sampling.GREEDY),
        Arguments.of(new Factor(1e-9), CachePolicy.PREFIX, eos, Sampling.GREEDY),
        Arguments.of(new EntropyBound(0), CachePolicy.NONE, never, Sampling.GREEDY),
        Arguments.of(fixed, CachePolicy.NONE, never, Sampling.GREEDY.withGuidance(0.5)));
  }

  private static DiffusionRequest request(Model model) {
    Canvas canvas = Canvas.of(new int[] {10, 11, 12, 13}, LENGTH, model.config().maskId());
    return DiffusionRequest.of(canvas, new SemiAutoregressive(8, LENGTH));
  }

  private static long bytesOfSteps(List<DiffusionRequest> requests, Model model) {
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    long[] allocated = new long[LENGTH + 1];
    List<DiffusionRequest> watched =
        requests.stream()
            .map(
                request ->
                    request.withListener(
                        decoding ->
                            // Edits of a full window are steps beyond those.
                            allocated[Math.min(decoding.step(), LENGTH)] =
                                threads.getCurrentThreadAllocatedBytes()))
            .toList();
    try (Denoiser denoiser = model.newDenoiser()) {
      DiffusionDecoder decoder = new DiffusionDecoder(denoiser);
      for (int i = 0; i < WARM_UP; i++) {
        decoder.fill(watched, results -> false);
      }
    }
    return allocated[LENGTH] - allocated[1];
  }

  private static Model model() {
    return Model.load(
        Golden.ROOT.resolve("tests/golden/checkpoints/dream").toString(),
        ModelOptions.defaults().withThreads(1));
  }

  @ParameterizedTest
  @MethodSource("ways")
  void aStepAllocatesNothing(CommitRule rule, CachePolicy cache, StopRule stop, Sampling sampling) {
    try (Model model = model()) {
      DiffusionRequest way =
          request(model).withRule(rule).withCache(cache).withStop(stop).withSampling(sampling);
      // Less than the smallest object for every step.
      assertThat(bytesOfSteps(List.of(way), model))
          .as("bytes in %d steps", LENGTH - 1)
          .isLessThan((LENGTH - 1) * 16 / 2);
    }
  }

  @Test
  void aStepOfSeveralCanvasesAllocatesNothing() {
    try (Model model = model()) {
      DiffusionRequest dual = request(model).withCache(CachePolicy.DUAL);
      assertThat(bytesOfSteps(List.of(request(model), dual, dual), model))
          .as("bytes in %d steps", LENGTH - 1)
          .isLessThan((LENGTH - 1) * 16 / 2);
    }
  }
}
