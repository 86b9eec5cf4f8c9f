package dev.sylvester.runner.format;

import dev.sylvester.kernels.KronFactors;
import dev.sylvester.kernels.KronShape;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * An adapter as PEFT saves it: adapter_config.json and adapter_model.safetensors. LoRA (also
 * rank-stabilised, with rank and alpha patterns, DoRA, PiSSA) and LoKr (full and split factors) of
 * linear layers, and LoRA of the embedding; anything else is an error that names it. Or a file:
 * sums of Kronecker products, as {@link #writeKron} writes them, or LoKr as LyCORIS saves it.
 *
 * @param path the folder or file
 * @param modules what each linear layer gets, by its name in the model, for example {@code
 *     model.layers.0.self_attn.q_proj}, and what the embedding gets
 */
public record AdapterFolder(Path path, Map<String, Module> modules) {
  /** The embedding's name. */
  public static final String EMBEDDING = "model.embed_tokens";

  /**
   * The change of one linear layer, whose weights it may depend on: {@link LayerChange#of}. Or that
   * of the embedding, a row for each token.
   *
   * @param factors of the delta
   * @param scale factor on it, from rank and alpha
   * @param principal whether it takes the place of as many principal terms of the layer's own
   *     weights (PiSSA, Meng et al., arXiv 2404.02948)
   * @param magnitude what norm each row of the changed weights is given (DoRA, Liu et al., arXiv
   *     2402.09353), or null
   * @param embedding whether it changes rows that tokens are given, not a linear layer
   */
  public record Module(
      KronFactors factors, float scale, boolean principal, float[] magnitude, boolean embedding) {
    /** A change that does not depend on the layer's weights. */
    public static Module of(KronFactors factors, float scale) {
      return new Module(factors, scale, false, null, false);
    }

    /** Whether the change depends on the layer's weights. */
    public boolean relative() {
      return principal || magnitude != null;
    }
  }

  /**
   * Reads a folder or a file.
   *
   * @param arena owns the factors
   * @throws ModelFormatException that names the tensor or setting which is wrong
   */
  public static AdapterFolder read(Path path, Arena arena) {
    try (Arena scratch = Arena.ofShared()) {
      Map<String, Module> modules =
          Files.isRegularFile(path)
              ? readFile(path, arena, scratch)
              : PeftFolder.read(path, arena, scratch);
      return new AdapterFolder(path, Collections.unmodifiableMap(modules));
    }
  }

  private static Map<String, Module> readFile(Path path, Arena arena, Arena scratch) {
    SafetensorsFile file = SafetensorsFile.open(path, scratch);
    return LycorisFile.is(file)
        ? LycorisFile.read(path, file, arena, scratch)
        : KronFile.read(path, file, arena);
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
        : List.of(path.resolve(PeftFolder.CONFIG), path.resolve(PeftFolder.WEIGHTS));
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
    Map<String, LayerChange> changes = new LinkedHashMap<>();
    modules.forEach((name, factors) -> changes.put(name, LayerChange.of(factors)));
    writeScaledLora(folder, changes);
  }

  /**
   * The same of factors with scales, which become alpha.
   *
   * @param modules that are {@link LayerChange#isLora}, by name
   * @throws IOException when it cannot be written
   */
  public static void writeScaledLora(Path folder, Map<String, LayerChange> modules)
      throws IOException {
    try (Arena arena = Arena.ofShared()) {
      NewFolder.create(folder, made -> PeftWriter.lora(made, modules, arena));
    }
  }

  /**
   * Writes a folder that PEFT reads as LoKr, or, where modules have several terms, one folder of
   * each term, {@code term1} and so on within it: PEFT adds up what is active. As a whole or not at
   * all.
   *
   * @param folder that does not exist yet
   * @param modules without gains, by name
   * @return the folders of PEFT
   * @throws IllegalArgumentException when PEFT has no factor that cuts all layers so
   * @throws IOException when it cannot be written
   */
  public static List<Path> writeLokr(Path folder, Map<String, LayerChange> modules)
      throws IOException {
    long factor = LokrTerms.factor(modules);
    List<Map<String, LayerChange>> terms = LokrTerms.of(modules);
    NewFolder.create(
        folder,
        made -> {
          for (int k = 0; k < terms.size(); k++) {
            Path part = LokrTerms.folder(made, k, terms.size());
            Files.createDirectories(part);
            PeftWriter.lokr(part, terms.get(k), factor);
          }
        });
    return IntStream.range(0, terms.size())
        .mapToObj(k -> LokrTerms.folder(folder, k, terms.size()))
        .toList();
  }
}
