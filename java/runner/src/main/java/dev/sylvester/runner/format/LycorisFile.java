package dev.sylvester.runner.format;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import dev.sylvester.runner.format.AdapterFolder.Module;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * LoKr as LyCORIS saves it: one safetensors file without settings. Factors are named as PEFT's are,
 * layers with _ for dots; the scale is alpha / rank, and 1 where neither factor is split, whatever
 * alpha says.
 */
final class LycorisFile {
  private static final Pattern MODULE = Pattern.compile("(.+)\\.(?:alpha|lokr_w[12](?:_[ab])?)");
  private static final Pattern LAYER =
      Pattern.compile("lycoris_model_layers_([0-9]+)_(self_attn|mlp)_([a-z]+_proj)");

  private LycorisFile() {}

  /** Whether a file is one. */
  static boolean is(SafetensorsFile file) {
    return file.tensors().keySet().stream().anyMatch(name -> name.contains(".lokr_w"));
  }

  static Map<String, Module> read(Path path, SafetensorsFile file, Arena arena, Arena scratch) {
    AdapterTensors tensors = new AdapterTensors(path, file.tensors(), arena, scratch);
    Map<String, Module> modules = new LinkedHashMap<>();
    for (String name : tensors.modules(MODULE)) {
      Matcher layer = LAYER.matcher(name);
      if (!layer.matches()) {
        throw tensors.error(
            "module "
                + ModelFormatException.quote(name)
                + " is for no layer of a decoder: lycoris_model_layers_0_self_attn_q_proj is one");
      }
      modules.put(
          "model.layers.%s.%s.%s".formatted(layer.group(1), layer.group(2), layer.group(3)),
          module(tensors, name));
    }
    if (file.tensors().keySet().stream().anyMatch(name -> name.endsWith(".dora_scale"))) {
      throw tensors.error("has dora_scale: weights decomposed by LyCORIS are not supported");
    }
    tensors.requireAllUsed("LoKr by LyCORIS");
    return modules;
  }

  private static Module module(AdapterTensors tensors, String name) {
    double alpha =
        tensors.require(name + ".alpha").require().finiteFloats(Arena.ofAuto()).get(JAVA_FLOAT, 0);
    double scale = 1;
    long rank = 1;
    for (String part : new String[] {".lokr_w1_a", ".lokr_w2_a"}) {
      if (tensors.has(name + part)) {
        rank = tensors.matrix(name + part).shape()[1];
        scale = alpha / rank;
      }
    }
    return Module.of(tensors.lokr(name, rank), tensors.scale(name, scale));
  }
}
