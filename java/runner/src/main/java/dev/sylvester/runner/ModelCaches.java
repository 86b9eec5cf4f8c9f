package dev.sylvester.runner;

import dev.sylvester.kernels.DType;
import dev.sylvester.kernels.KvCalibration;
import dev.sylvester.kernels.KvGeometry;
import dev.sylvester.kernels.KvOptions;
import dev.sylvester.kernels.KvPlan;
import dev.sylvester.kernels.SylvesterException;
import dev.sylvester.kernels.ThreadPool;
import dev.sylvester.runner.format.ModelFile;
import dev.sylvester.runner.hub.Catalog;
import dev.sylvester.runner.hub.Progress;
import dev.sylvester.runner.layers.CanvasCaches;
import dev.sylvester.runner.layers.CanvasEvaluator;
import dev.sylvester.runner.layers.Evaluator;
import dev.sylvester.runner.layers.TextCaches;
import dev.sylvester.runner.layers.Weights;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** The kinds of caches that a model's sessions use, each made when it is first asked for. */
final class ModelCaches implements AutoCloseable {
  private static final int MEASURED_TOKENS = 1024;

  private final ModelFile file;
  private final Weights weights;
  private final int context;
  private final ThreadPool pool;
  private final ModelOptions options;
  private final Map<CacheOptions, TextCaches> caches = new HashMap<>();
  private String autoChoice;

  ModelCaches(ModelFile file, Weights weights, int context, ThreadPool pool, ModelOptions options) {
    this.file = file;
    this.weights = weights;
    this.context = context;
    this.pool = pool;
    this.options = options;
  }

  /** What the model was opened with. */
  CacheOptions options() {
    return options.cache();
  }

  synchronized TextCaches of(CacheOptions wanted, Model model) {
    TextCaches found = caches.get(wanted);
    if (found == null) {
      found = make(wanted, model);
      caches.put(wanted, found);
    }
    return found;
  }

  /** What {@code auto} has chosen; empty when nobody asked for it. */
  synchronized Optional<String> autoChoice() {
    return Optional.ofNullable(autoChoice);
  }

  /** Canvases of a bidirectional model. */
  CanvasEvaluator newCanvases(CacheOptions wanted) {
    CanvasCaches canvases;
    if (wanted.floats()) {
      canvases = CanvasCaches.floats(weights, pool, floatType(wanted));
    } else {
      requireNoAuto(wanted);
      canvases = CanvasCaches.packed(weights, pool, plan(wanted));
    }
    return new CanvasEvaluator(weights, pool, canvases);
  }

  private static DType floatType(CacheOptions of) {
    return of.equals(CacheOptions.F32) ? DType.F32 : DType.F16;
  }

  private TextCaches make(CacheOptions wanted, Model model) {
    if (wanted.floats()) {
      return TextCaches.floats(weights, context, pool, floatType(wanted));
    }
    requireNoAuto(wanted);
    if (wanted.equals(CacheOptions.AUTO)) {
      AutoCache.Choice choice = AutoCache.choose(model, this);
      autoChoice = choice.text();
      return packed(choice.plan());
    }
    return packed(plan(wanted));
  }

  KvPlan calibrate(CacheOptions wanted, List<int[]> samples, Progress progress) {
    KvOptions preset = wanted.preset();
    try (KvCalibration calibration = collect(preset, samples, progress)) {
      if (wanted.mixesBits()) {
        preset = preset.withLayerBits(layerBits(preset, calibration, samples));
      }
      return KvPlan.of(calibration.geometry(), preset, calibration);
    }
  }

  /** A third bit for the keys of that half of the layers whose attention two bits hurt most. */
  private List<KvOptions.LayerBits> layerBits(
      KvOptions preset, KvCalibration calibration, List<int[]> samples) {
    int[] tokens =
        samples.stream()
            .flatMapToInt(Arrays::stream)
            .limit(Math.min(context, MEASURED_TOKENS))
            .toArray();
    double[] errors = new double[weights.config().layers()];
    measure(KvPlan.of(calibration.geometry(), preset, calibration), tokens, errors);
    double[] sorted = errors.clone();
    Arrays.sort(sorted);
    double median = sorted[(sorted.length - 1) / 2];
    return Arrays.stream(errors)
        .mapToObj(error -> new KvOptions.LayerBits(error > median ? 3 : 2, 2))
        .toList();
  }

  /** What plans of such options are made from; the caller closes it. */
  KvCalibration collect(KvOptions wanted, List<int[]> samples, Progress progress) {
    long total = samples.stream().mapToLong(sample -> sample.length).sum();
    long done = 0;
    KvCalibration calibration = KvCalibration.of(weights.kvGeometry());
    try (Evaluator text = TextCaches.calibrating(weights, context, pool, calibration, wanted)) {
      for (int[] sample : samples) {
        text.truncate(0);
        text.append(sample, 0, sample.length);
        done += sample.length;
        progress.update(done, total);
      }
      return calibration;
    } catch (RuntimeException | Error e) {
      calibration.close();
      throw e;
    }
  }

  /** Adds each layer's relative squared error of attention; closes the plan. */
  void measure(KvPlan plan, int[] tokens, double[] errors) {
    try (TextCaches trial = packed(plan);
        Evaluator text = trial.newMeasuringText(errors)) {
      text.append(tokens, 0, tokens.length);
    }
  }

  private void requireNoAuto(CacheOptions wanted) {
    if (weights.config().bidirectional() && wanted.equals(CacheOptions.AUTO)) {
      throw new IllegalArgumentException(
          "%s is bidirectional: auto would measure how it predicts a next token; take one of %s"
              .formatted(file.path(), String.join(", ", KvOptions.PRESETS)));
    }
  }

  /** Takes over the plan. */
  TextCaches packed(KvPlan plan) {
    try {
      return TextCaches.packed(weights, context, pool, plan, options.sessions());
    } catch (RuntimeException | Error e) {
      plan.close();
      throw e;
    }
  }

  private KvPlan plan(CacheOptions wanted) {
    KvGeometry geometry = weights.kvGeometry();
    if (wanted.plan() != null) {
      return load(wanted.plan(), geometry);
    }
    if (!wanted.needsCalibration()) {
      return KvPlan.of(geometry, wanted.preset());
    }
    Path shipped =
        Catalog.plans(file.path())
            .map(folder -> folder.resolve(planName(wanted)))
            .filter(Files::isRegularFile)
            .orElseThrow(
                () ->
                    new IllegalArgumentException(
                        ("%s needs a plan for %s: sylvester calibrate -m MODEL -f TEXT --kv %s "
                                + "-o PLAN, then --kv-plan PLAN")
                            .formatted(wanted, file.path(), wanted.name())));
    return load(shipped, geometry);
  }

  /** File of a plan that comes with a model. */
  private static String planName(CacheOptions wanted) {
    return "%s-%d.kvplan".formatted(wanted.name(), wanted.preset().keys().bits());
  }

  private static KvPlan load(Path plan, KvGeometry geometry) {
    if (!Files.exists(plan)) {
      throw new IllegalArgumentException(plan + ": no such file");
    }
    try {
      return KvPlan.load(plan, geometry);
    } catch (SylvesterException e) {
      throw new IllegalArgumentException("%s: %s".formatted(plan, e.getMessage()), e);
    } catch (IOException e) {
      throw new UncheckedIOException("%s cannot be read: %s".formatted(plan, e.getMessage()), e);
    }
  }

  @Override
  public synchronized void close() {
    caches.values().forEach(TextCaches::close);
    caches.clear();
  }
}
