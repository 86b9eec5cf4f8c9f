package dev.sylvester.runner.format;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.sylvester.kernels.KronFactors;
import dev.sylvester.kernels.KronShape;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

/** Folders that PEFT reads; its weights, settings and what they must agree on. */
final class PeftWriter {
  private static final ObjectMapper MAPPER = new ObjectMapper();

  private PeftWriter() {}

  /** LoRA, of any rank in each module. */
  static void lora(Path folder, Map<String, LayerChange> modules, Arena arena) throws IOException {
    Map<String, SafetensorsFile.Floats> tensors = new LinkedHashMap<>();
    modules.forEach(
        (name, change) -> {
          KronFactors factors = change.factors();
          KronShape shape = factors.shape();
          if (!change.isLora()) {
            throw new IllegalArgumentException(
                "module %s is no LoRA: its factors are %s".formatted(name, shape));
          }
          long rank = factors.terms();
          String prefix = PeftFolder.PREFIX + name;
          tensors.put(
              prefix + ".lora_A.weight",
              new SafetensorsFile.Floats(new long[] {rank, shape.in()}, factors.v()));
          tensors.put(
              prefix + ".lora_B.weight",
              new SafetensorsFile.Floats(
                  new long[] {shape.out(), rank},
                  Matrices.transposed(factors.u(), rank, shape.out(), arena)));
        });
    ObjectNode config = MAPPER.createObjectNode().put("peft_type", "LORA").put("bias", "none");
    config.put("lora_dropout", 0.0).put("use_rslora", false).put("use_dora", false);
    config.put("fan_in_fan_out", false).put("init_lora_weights", true);
    long rank = modules.values().stream().mapToLong(m -> m.factors().terms()).max().orElse(1);
    write(folder, tensors, config, "lora_alpha", rank, modules);
  }

  /**
   * LoKr of one term. Both factors are whole, for which the rank of the settings has to be large.
   *
   * @param modules of one term each
   * @param factor that PEFT cuts all layers by: {@link KronShape#factored}
   */
  static void lokr(Path folder, Map<String, LayerChange> modules, long factor) throws IOException {
    Map<String, SafetensorsFile.Floats> tensors = new LinkedHashMap<>();
    long rank = 1;
    for (Map.Entry<String, LayerChange> module : modules.entrySet()) {
      KronFactors factors = module.getValue().factors();
      KronShape s = factors.shape();
      String name = PeftFolder.PREFIX + module.getKey();
      tensors.put(
          name + ".lokr_w1", new SafetensorsFile.Floats(new long[] {s.m(), s.n()}, factors.u()));
      tensors.put(
          name + ".lokr_w2", new SafetensorsFile.Floats(new long[] {s.p(), s.q()}, factors.v()));
      rank = Math.max(rank, Math.ceilDiv(Math.max(s.p(), s.q()), 2));
    }
    ObjectNode config = MAPPER.createObjectNode().put("peft_type", "LOKR");
    config.put("decompose_both", false).put("decompose_factor", factor);
    config.put("init_weights", true);
    write(folder, tensors, config, "alpha", rank, modules);
  }

  /** Scales are alpha over the rank of a module, which is its number of terms in a LoRA. */
  private static void write(
      Path folder,
      Map<String, SafetensorsFile.Floats> tensors,
      ObjectNode config,
      String alpha,
      long rank,
      Map<String, LayerChange> modules)
      throws IOException {
    config.put("task_type", "CAUSAL_LM").put("inference_mode", true);
    config.put("r", rank);
    putNumber(config, alpha, rank);
    ArrayNode targets = config.putArray("target_modules");
    ObjectNode ranks = config.putObject("rank_pattern");
    ObjectNode alphas = config.putObject("alpha_pattern");
    modules.forEach(
        (name, change) -> {
          targets.add(name);
          long own = change.isLora() ? change.factors().terms() : rank;
          if (own != rank) {
            ranks.put(name, own);
          }
          if (own != rank || change.scale() != 1) {
            putNumber(alphas, name, (double) change.scale() * own);
          }
        });
    SafetensorsFile.write(folder.resolve(PeftFolder.WEIGHTS), tensors, Map.of("format", "pt"));
    Files.write(folder.resolve(PeftFolder.CONFIG), MAPPER.writeValueAsBytes(config));
  }

  private static void putNumber(ObjectNode object, String key, double value) {
    if (value == Math.rint(value)) {
      object.put(key, (long) value);
    } else {
      object.put(key, value);
    }
  }
}
