package dev.sylvester.runner.format;

import com.fasterxml.jackson.databind.JsonNode;
import dev.sylvester.runner.format.AdapterFolder.Module;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

/** Reads a folder of PEFT. */
final class PeftFolder {
  static final String CONFIG = "adapter_config.json";
  static final String WEIGHTS = "adapter_model.safetensors";
  static final String PREFIX = "base_model.model.";

  private static final Pattern LORA =
      Pattern.compile(Pattern.quote(PREFIX) + "(.+)\\.lora_[AB]\\.weight");
  private static final Pattern EMBEDDING =
      Pattern.compile(Pattern.quote(PREFIX) + "(.+)\\.lora_embedding_[AB]");
  private static final Pattern LOKR =
      Pattern.compile(Pattern.quote(PREFIX) + "(.+)\\.lokr_w[12](?:_[ab])?");

  private static final String PISSA = "pissa";
  // Those that leave the model's weights as they are.
  private static final Set<String> PLAIN_STARTS =
      Set.of("true", "false", "gaussian", "eva", "orthogonal", "mica");

  private final JsonSettings config;
  private final AdapterTensors tensors;

  private PeftFolder(Path folder, Arena arena, Arena scratch) {
    config = JsonSettings.read(folder.resolve(CONFIG));
    Path file = folder.resolve(WEIGHTS);
    tensors =
        new AdapterTensors(file, SafetensorsFile.open(file, scratch).tensors(), arena, scratch);
  }

  static Map<String, Module> read(Path folder, Arena arena, Arena scratch) {
    return new PeftFolder(folder, arena, scratch).read();
  }

  private Map<String, Module> read() {
    String kind = config.requireString("peft_type");
    boolean lora = kind.equals("LORA");
    if (!lora && !kind.equals("LOKR")) {
      throw config.unexpected("peft_type", ModelFormatException.quote(kind), "LORA or LOKR");
    }
    JsonNode whole = config.node("modules_to_save");
    if (whole != null && !whole.isEmpty()) {
      throw config.unexpected(
          "modules_to_save", JsonSettings.shown(whole), "none: whole modules are not read");
    }
    boolean pissa = lora && startsFromPrincipalTerms();
    boolean dora = lora && config.bool("use_dora").orElse(false);
    Map<String, Module> modules = new LinkedHashMap<>();
    for (String name : tensors.modules(lora ? LORA : LOKR)) {
      modules.put(name, lora ? lora(name, pissa, dora) : lokr(name));
    }
    for (String name : lora ? tensors.modules(EMBEDDING) : Set.<String>of()) {
      modules.put(name, embedding(name));
    }
    tensors.requireAllUsed(kind);
    return modules;
  }

  private boolean startsFromPrincipalTerms() {
    JsonNode start = config.node("init_lora_weights");
    if (start == null || PLAIN_STARTS.contains(start.asText())) {
      return false;
    }
    if (!start.asText().equals(PISSA)) {
      throw config.unexpected(
          "init_lora_weights",
          JsonSettings.shown(start),
          "a start from the model's own weights or from pissa; others change the weights in ways"
              + " that the file does not tell: have PEFT convert it when saving"
              + " (path_initial_model_for_weight_conversion)");
    }
    return true;
  }

  private Module lora(String module, boolean pissa, boolean dora) {
    String name = PREFIX + module;
    Tensor a = tensors.matrix(name + ".lora_A.weight");
    Tensor b = tensors.matrix(name + ".lora_B.weight");
    long rank = rank(module);
    ignoreCopy(name, b.shape()[0], a.shape()[1]);
    return new Module(
        tensors.lora(a, b, rank),
        loraScale(module, rank),
        pissa,
        dora ? tensors.vector(name + ".lora_magnitude_vector", b.shape()[0]) : null,
        false);
  }

  private Module embedding(String module) {
    for (String key : List.of("use_dora", "ensure_weight_tying")) {
      if (config.bool(key).orElse(false)) {
        throw config.unexpected(key, true, "false where the embedding has an adapter");
      }
    }
    if (startsFromPrincipalTerms()) {
      throw config.unexpected(
          "init_lora_weights",
          ModelFormatException.quote(PISSA),
          "another start where the embedding has an adapter");
    }
    String name = PREFIX + module;
    Tensor a = tensors.matrix(name + ".lora_embedding_A");
    Tensor b = tensors.matrix(name + ".lora_embedding_B");
    long rank = rank(module);
    ignoreCopy(name, a.shape()[1], b.shape()[0]);
    return new Module(tensors.embedding(a, b, rank), loraScale(module, rank), false, null, true);
  }

  /** Beside adapters of the embedding and the head PEFT saves the model's own weights. */
  private void ignoreCopy(String name, long out, long in) {
    tensors.ignore(name + ".base_layer.weight", out, in);
  }

  private float loraScale(String module, long rank) {
    double alpha = number(module, "lora_alpha", "alpha_pattern");
    boolean stabilised = config.bool("use_rslora").orElse(false);
    return tensors.scale(module, alpha / (stabilised ? Math.sqrt(rank) : rank));
  }

  /** The scale is alpha / r also where neither factor is split. */
  private Module lokr(String module) {
    long rank = rank(module);
    return Module.of(
        tensors.lokr(PREFIX + module, rank),
        tensors.scale(module, number(module, "alpha", "alpha_pattern") / rank));
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
}
