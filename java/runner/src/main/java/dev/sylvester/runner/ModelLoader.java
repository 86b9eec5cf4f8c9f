package dev.sylvester.runner;

import dev.sylvester.cuda.CudaDevice;
import dev.sylvester.kernels.ThreadPool;
import dev.sylvester.runner.format.AdapterFolder;
import dev.sylvester.runner.format.ModelConfig;
import dev.sylvester.runner.format.ModelFile;
import dev.sylvester.runner.format.RopeConfig;
import dev.sylvester.runner.layers.AdapterSet;
import dev.sylvester.runner.layers.PackedAdapter;
import dev.sylvester.runner.layers.Weights;
import dev.sylvester.runner.text.Tokenizer;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Opens the parts of a model, or none of them. The first token is waited for: the native library is
 * loaded while the file's header is read, the tokenizer is built while weights are packed.
 */
final class ModelLoader {
  private final List<AutoCloseable> opened = new ArrayList<>();

  private ModelLoader() {}

  static Model load(Path path, ModelOptions options) {
    if (CudaDevice.forced()) {
      throw new IllegalArgumentException(
          "models run on the processor only: sylvester.device must be auto or cpu");
    }
    ModelLoader loader = new ModelLoader();
    try {
      return loader.open(path, options);
    } catch (RuntimeException | Error e) {
      loader.closeAll(e);
      throw e;
    }
  }

  private Model open(Path path, ModelOptions options) {
    Background<ThreadPool> pool = opened(Background.start(() -> ThreadPool.of(options.threads())));
    ModelFile file = opened(ModelFile.open(path));
    int context = context(file, options.context());
    Background<Tokenizer> tokenizer = opened(Background.start(() -> Tokenizer.of(file)));
    Arena arena = opened(Arena.ofShared());
    Weights weights = weights(file, context, options.adapters(), arena, pool.get());
    ModelCaches caches = opened(new ModelCaches(file, weights, context, pool.get(), options));
    Model model =
        new Model(
            file, weights, options.adapters(), context, tokenizer.get(), arena, pool.get(), caches);
    caches.of(options.cache(), model);
    return model;
  }

  private static Weights weights(
      ModelFile file, int context, List<Adapter> adapters, Arena arena, ThreadPool pool) {
    Weights weights = Weights.load(file, context, arena, pool);
    List<AdapterSet.Scaled> scaled = new ArrayList<>();
    for (Adapter adapter : adapters) {
      PackedAdapter packed = pack(adapter.folder(), file, weights, arena, pool);
      scaled.add(new AdapterSet.Scaled(packed, adapter.scale()));
    }
    return weights.withAdapters(AdapterSet.of(scaled, weights));
  }

  static PackedAdapter pack(
      Path adapter, ModelFile file, Weights weights, Arena arena, ThreadPool pool) {
    try (Arena scratch = Arena.ofShared()) {
      AdapterFolder folder = AdapterFolder.read(adapter, scratch);
      return PackedAdapter.pack(folder, file, weights, arena, pool);
    }
  }

  private <T extends AutoCloseable> T opened(T resource) {
    opened.add(resource);
    return resource;
  }

  private void closeAll(Throwable reason) {
    for (AutoCloseable resource : opened.reversed()) {
      try {
        resource.close();
      } catch (Exception e) {
        reason.addSuppressed(e);
      }
    }
  }

  private static int context(ModelFile file, int wanted) {
    ModelConfig config = file.config();
    RopeConfig rope = config.rope();
    // Dynamic scaling exists to go beyond the limit.
    double limit =
        config.contextLength()
            * (rope.kind() == RopeConfig.Kind.DYNAMIC_NTK ? Math.max(1, rope.factor()) : 1);
    if (wanted > limit) {
      throw new IllegalArgumentException(
          "%s holds at most %,d tokens, the context asked for is %,d"
              .formatted(file.path(), (long) limit, wanted));
    }
    return wanted == 0 ? Math.min(config.contextLength(), ModelOptions.DEFAULT_CONTEXT) : wanted;
  }
}
