package dev.sylvester.runner;

import dev.sylvester.kernels.KvCalibration;
import dev.sylvester.kernels.KvOptions;
import dev.sylvester.kernels.KvPlan;
import dev.sylvester.runner.eval.Divergence;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/**
 * Bits for each layer, as few as a model bears: the preset {@code best}, calibrated on a text of
 * this library, with two bits everywhere; layers are then given more, that with the largest error
 * of attention first, until the model's predictions of another part of the text are close enough to
 * those with f16.
 */
final class AutoCache {
  /** Mean divergence that is close enough, in nats a token. */
  static final double BOUND = 0.03;

  /** Tokens to calibrate with, and to measure with. */
  private static final int TOKENS = 320;

  private static final int[] BITS = {2, 3, 4, 8};

  private final Model model;
  private final ModelCaches caches;
  private final KvOptions preset = CacheOptions.of("best").preset();
  private final int layers;

  /**
   * What was chosen.
   *
   * @param plan of the caches
   * @param text says it to people
   */
  record Choice(KvPlan plan, String text) {}

  private AutoCache(Model model, ModelCaches caches) {
    this.model = model;
    this.caches = caches;
    this.layers = model.config().layers();
  }

  static Choice choose(Model model, ModelCaches caches) {
    return new AutoCache(model, caches).choose();
  }

  private Choice choose() {
    int[] tokens = model.tokenizer().encode(sample(), false);
    int window = Math.min(TOKENS, model.context());
    if (tokens.length < 2 * TOKENS) {
      throw new IllegalArgumentException(
          "auto measures with %,d tokens, but its text has only %,d for %s"
              .formatted(2 * TOKENS, tokens.length, model.path()));
    }
    List<int[]> first = new ArrayList<>();
    for (int from = 0; from < TOKENS; from += window) {
      first.add(Arrays.copyOfRange(tokens, from, Math.min(TOKENS, from + window)));
    }
    int[] second = Arrays.copyOfRange(tokens, TOKENS, TOKENS + window);
    try (KvCalibration calibration = caches.collect(preset, first, (done, total) -> {});
        Divergence divergence = new Divergence(model.config().vocabSize(), window)) {
      try (Session floats = model.newSession(CacheOptions.F16)) {
        divergence.reference(floats, second);
      }
      List<Integer> order = order(errors(calibration, second));
      // The fewest steps that are enough: more of them are never much worse.
      int enough = order.size();
      for (int low = 0; low < enough; ) {
        int middle = (low + enough) / 2;
        if (divergence(divergence, calibration, order.subList(0, middle)) <= BOUND) {
          enough = middle;
        } else {
          low = middle + 1;
        }
      }
      List<Integer> steps = order.subList(0, enough);
      double reached = divergence(divergence, calibration, steps);
      return new Choice(plan(calibration, steps), text(steps, reached));
    }
  }

  private static String sample() {
    try (InputStream in = AutoCache.class.getResourceAsStream("sample.txt")) {
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Error of each layer's attention with two bits. */
  private double[] errors(KvCalibration calibration, int[] tokens) {
    double[] errors = new double[layers];
    caches.measure(plan(calibration, List.of()), tokens, errors);
    return errors;
  }

  /** Layers in the order in which they get their next number of bits. */
  private List<Integer> order(double[] errors) {
    int[] step = new int[layers];
    List<Integer> order = new ArrayList<>();
    while (order.size() < layers * (BITS.length - 1)) {
      int worst = 0;
      for (int i = 1; i < layers; i++) {
        worst = errors[i] > errors[worst] ? i : worst;
      }
      order.add(worst);
      step[worst]++;
      // A bit halves the distance of levels.
      errors[worst] =
          step[worst] == BITS.length - 1
              ? -1
              : errors[worst] * Math.pow(4, BITS[step[worst] - 1] - BITS[step[worst]]);
    }
    return order;
  }

  private KvPlan plan(KvCalibration calibration, List<Integer> steps) {
    List<KvOptions.LayerBits> bits = new ArrayList<>();
    for (int i = 0; i < layers; i++) {
      int ofLayer = BITS[Collections.frequency(steps, i)];
      bits.add(new KvOptions.LayerBits(ofLayer, ofLayer));
    }
    return KvPlan.of(calibration.geometry(), preset.withLayerBits(bits), calibration);
  }

  private double divergence(Divergence divergence, KvCalibration calibration, List<Integer> steps) {
    try (var trial = caches.packed(plan(calibration, steps));
        Session session = model.session(CacheOptions.AUTO, trial)) {
      return divergence.of(session).meanDivergence();
    }
  }

  private String text(List<Integer> steps, double reached) {
    Map<Integer, Integer> counts = new TreeMap<>();
    for (int i = 0; i < layers; i++) {
      counts.merge(BITS[Collections.frequency(steps, i)], 1, Integer::sum);
    }
    List<String> parts = new ArrayList<>();
    counts.forEach((bits, count) -> parts.add("%d bits in %d layers".formatted(bits, count)));
    return String.format(
        Locale.ROOT,
        "auto: %s; mean divergence from f16 %.4f, %s %.2f",
        String.join(", ", parts),
        reached,
        reached <= BOUND ? "at most" : "more than",
        BOUND);
  }
}
