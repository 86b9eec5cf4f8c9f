package dev.sylvester.runner.format;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import dev.sylvester.kernels.DType;
import dev.sylvester.kernels.KronFactors;
import dev.sylvester.kernels.KronShape;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

/**
 * An adapter as PEFT saves it: adapter_config.json and adapter_model.safetensors. LoRA (also
 * rank-stabilised, with rank and alpha patterns) and LoKr (full and split factors) of linear
 * layers; anything else is an error that names it. Or a file of sums of Kronecker products, as
 * {@link #writeKron} writes it.
 *
 * @param path the folder or file
 * @param modules what each linear layer gets, by its name in the model, for example {@code
 *     model.layers.0.self_attn.q_proj}
 */
public record AdapterFolder(Path path, Map<String, Module> modules) {
  private static final String CONFIG = "adapter_config.json";
  private static final String WEIGHTS = "adapter_model.safetensors";
  static final String PREFIX = "base_model.model.";

  /**
   * The change of one linear layer.
   *
   * @param factors of the delta
   * @param scale factor on it, from rank and alpha
   */
  public record Module(KronFactors factors, float scale) {}

  /**
   * Reads a folder or a file.
   *
   * @param arena owns the factors
   * @throws ModelFormatException that names the tensor or setting which is wrong
   */
  public static AdapterFolder read(Path path, Arena arena) {
    try (Arena scratch = Arena.ofShared()) {
      return Files.isRegularFile(path)
          ? new AdapterFolder(path, KronFile.read(path, arena, scratch))
          : new Reader(path, arena, scratch).read();
    }
  }

  /**
   * Checks a module against the layer that it is for.
   *
   * @param out rows of the layer's weights
   * @param in columns
   * @throws IllegalArgumentException that names the module, when its delta has another size
   */
  public void requireFit(String module, long out, long in) {
    KronShape shape = modules.get(module).factors().shape();
    if (shape.out() != out || shape.in() != in) {
      throw error(
          module,
          "%d x %d, but the model's layer is %d x %d".formatted(shape.out(), shape.in(), out, in));
    }
  }

  /** Of a module that is for no layer of a model. */
  public IllegalArgumentException lacksLayer(String module) {
    return error(module, "for a layer that the model does not have");
  }

  /**
   * What is wrong with a module when it meets a model.
   *
   * @param problem what it is, such as "a Kronecker product"
   */
  public IllegalArgumentException error(String module, String problem) {
    return new IllegalArgumentException(
        "adapter %s: module %s is %s".formatted(path, module, problem));
  }

  /** What {@link #read} reads. */
  public static List<Path> files(Path path) {
    return Files.isRegularFile(path)
        ? List.of(path)
        : List.of(path.resolve(CONFIG), path.resolve(WEIGHTS));
  }

  /**
   * Writes a file of sums of Kronecker products, as a whole or not at all: {@code NAME.kron_u}
   * [terms, m, n] and {@code NAME.kron_v} [terms, p, q] for each module.
   *
   * @param modules factors of the deltas by name
   * @throws IOException when it cannot be written
   */
  public static void writeKron(Path file, Map<String, KronFactors> modules) throws IOException {
    KronFile.write(file, modules);
  }

  /**
   * Writes a folder that PEFT reads as LoRA, as a whole or not at all.
   *
   * @param folder that does not exist yet
   * @param modules factors of {@link KronShape#lora} shapes by name
   * @throws IOException when it cannot be written
   */
  public static void writeLora(Path folder, Map<String, KronFactors> modules) throws IOException {
    try (Arena arena = Arena.ofShared()) {
      NewFolder.create(
          folder,
          made -> LoraFiles.write(made.resolve(CONFIG), made.resolve(WEIGHTS), modules, arena));
    }
  }

  private static final class Reader {
    private final Path folder;
    private final Arena arena;
    private final Arena scratch;
    private final Path file;
    private final JsonSettings config;
    private final Map<String, Tensor> tensors;
    private final Set<String> used = new HashSet<>();

    Reader(Path folder, Arena arena, Arena scratch) {
      this.folder = folder;
      this.arena = arena;
      this.scratch = scratch;
      this.config = JsonSettings.read(folder.resolve(CONFIG));
      this.file = folder.resolve(WEIGHTS);
      this.tensors = SafetensorsFile.open(file, scratch).tensors();
    }

    AdapterFolder read() {
      String kind = config.requireString("peft_type");
      boolean lora = kind.equals("LORA");
      if (!lora && !kind.equals("LOKR")) {
        throw config.unexpected("peft_type", ModelFormatException.quote(kind), "LORA or LOKR");
      }
      if (config.bool("use_dora").orElse(false)) {
        throw config.unexpected("use_dora", "true", "false: DoRA is not supported");
      }
      Map<String, Module> modules = new LinkedHashMap<>();
      for (String name : moduleNames(lora)) {
        modules.put(name, lora ? lora(name) : lokr(name));
      }
      for (String name : tensors.keySet()) {
        if (!used.contains(name)) {
          throw error("tensor " + ModelFormatException.quote(name) + " is no part of " + kind);
        }
      }
      if (modules.isEmpty()) {
        throw error("has no tensors");
      }
      return new AdapterFolder(folder, Collections.unmodifiableMap(modules));
    }

    private Set<String> moduleNames(boolean lora) {
      Pattern pattern =
          Pattern.compile(
              Pattern.quote(PREFIX)
                  + (lora ? "(.+)\\.lora_[AB]\\.weight" : "(.+)\\.lokr_w[12](?:_[ab])?"));
      Set<String> names = new LinkedHashSet<>();
      for (String name : tensors.keySet()) {
        var matcher = pattern.matcher(name);
        if (matcher.matches()) {
          names.add(matcher.group(1));
        }
      }
      return names;
    }

    /** delta = s B A: V_k is row k of A, U_k column k of B. */
    private Module lora(String module) {
      Tensor a = matrix(module + ".lora_A.weight");
      Tensor b = matrix(module + ".lora_B.weight");
      long rank = rank(module);
      long in = a.shape()[1];
      long out = b.shape()[0];
      a.require(rank, in);
      b.require(out, rank);
      MemorySegment columns = b.finiteFloats(scratch);
      MemorySegment u = arena.allocate(columns.byteSize(), 64);
      for (long o = 0; o < out; o++) {
        for (long k = 0; k < rank; k++) {
          u.setAtIndex(JAVA_FLOAT, k * out + o, columns.getAtIndex(JAVA_FLOAT, o * rank + k));
        }
      }
      double alpha = number(module, "lora_alpha", "alpha_pattern");
      boolean stabilised = config.bool("use_rslora").orElse(false);
      return module(
          module,
          KronFactors.of(DType.F32, rank, KronShape.lora(out, in), u, a.finiteFloats(arena)),
          alpha / (stabilised ? Math.sqrt(rank) : rank));
    }

    /** delta = alpha / r w1 (x) w2, also where neither is split. */
    private Module lokr(String module) {
      long rank = rank(module);
      Factor left = factor(module + ".lokr_w1", rank);
      Factor right = factor(module + ".lokr_w2", rank);
      KronShape shape = new KronShape(left.rows, left.columns, right.rows, right.columns);
      return module(
          module,
          KronFactors.of(DType.F32, 1, shape, left.values, right.values),
          number(module, "alpha", "alpha_pattern") / rank);
    }

    private record Factor(long rows, long columns, MemorySegment values) {}

    /** The tensor of this name, or the product of its two parts. */
    private Factor factor(String name, long rank) {
      if (tensors.containsKey(PREFIX + name)) {
        Tensor whole = matrix(name);
        return new Factor(whole.shape()[0], whole.shape()[1], whole.finiteFloats(arena));
      }
      Tensor a = matrix(name + "_a");
      Tensor b = matrix(name + "_b");
      long rows = a.shape()[0];
      long columns = b.shape()[1];
      a.require(rows, rank);
      b.require(rank, columns);
      MemorySegment left = a.finiteFloats(scratch);
      MemorySegment right = b.finiteFloats(scratch);
      MemorySegment product = arena.allocate(rows * columns * Float.BYTES, 64);
      for (long i = 0; i < rows; i++) {
        for (long j = 0; j < columns; j++) {
          double sum = 0;
          for (long k = 0; k < rank; k++) {
            sum +=
                (double) left.getAtIndex(JAVA_FLOAT, i * rank + k)
                    * right.getAtIndex(JAVA_FLOAT, k * columns + j);
          }
          product.setAtIndex(JAVA_FLOAT, i * columns + j, (float) sum);
        }
      }
      return new Factor(rows, columns, product);
    }

    private Module module(String name, KronFactors factors, double scale) {
      if (!Float.isFinite((float) scale)) {
        throw error("module " + ModelFormatException.quote(name) + " has the scale " + scale);
      }
      return new Module(factors, (float) scale);
    }

    /** A matrix of at least one element. */
    private Tensor matrix(String name) {
      Tensor tensor = tensors.get(PREFIX + name);
      if (tensor == null) {
        throw error("lacks tensor " + ModelFormatException.quote(PREFIX + name));
      }
      used.add(PREFIX + name);
      if (tensor.shape().length != 2 || tensor.elements() == 0) {
        throw tensor.error("shape " + Tensor.shapeText(tensor.shape()) + ", expected a matrix");
      }
      return tensor;
    }

    private long rank(String module) {
      double rank = number(module, "r", "rank_pattern");
      if (rank != Math.rint(rank) || rank > Integer.MAX_VALUE) {
        throw config.unexpected("r", rank, "a whole number");
      }
      return (long) rank;
    }

    /** The setting, or what the first pattern says that names the module as PEFT matches it. */
    private double number(String module, String key, String patterns) {
      JsonSettings special = config.nested(patterns).orElse(null);
      if (special != null) {
        for (String pattern : fieldNames(special)) {
          if (matches(special, pattern, module)) {
            return special.requirePositive(pattern);
          }
        }
      }
      return config.requirePositive(key);
    }

    private static List<String> fieldNames(JsonSettings settings) {
      List<String> names = new ArrayList<>();
      settings.object().fieldNames().forEachRemaining(names::add);
      return names;
    }

    private static boolean matches(JsonSettings patterns, String pattern, String module) {
      try {
        return Pattern.compile("(.*\\.)?(" + pattern + ")").matcher(module).matches();
      } catch (PatternSyntaxException e) {
        throw patterns.unexpected(pattern, "a key", "a regular expression");
      }
    }

    private ModelFormatException error(String problem) {
      return new ModelFormatException(file, problem);
    }
  }
}
