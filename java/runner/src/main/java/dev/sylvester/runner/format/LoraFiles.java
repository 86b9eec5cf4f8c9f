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

/** LoRA as PEFT reads it, of any rank in each module: alpha is the rank, so that nothing scales. */
final class LoraFiles {
  private LoraFiles() {}

  static void write(Path folder, Map<String, KronFactors> modules, Arena arena) throws IOException {
    Map<String, SafetensorsFile.Floats> tensors = new LinkedHashMap<>();
    modules.forEach(
        (name, factors) -> {
          KronShape shape = factors.shape();
          if (!shape.equals(KronShape.lora(shape.out(), shape.in()))) {
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
    SafetensorsFile.write(folder.resolve(PeftFolder.WEIGHTS), tensors, Map.of("format", "pt"));
    Files.write(
        folder.resolve(PeftFolder.CONFIG), new ObjectMapper().writeValueAsBytes(config(modules)));
  }

  private static ObjectNode config(Map<String, KronFactors> modules) {
    long rank = modules.values().stream().mapToLong(KronFactors::terms).max().orElse(1);
    ObjectNode config = new ObjectMapper().createObjectNode();
    config.put("peft_type", "LORA").put("task_type", "CAUSAL_LM").put("bias", "none");
    config.put("r", rank).put("lora_alpha", rank).put("lora_dropout", 0.0);
    config.put("use_rslora", false).put("use_dora", false).put("fan_in_fan_out", false);
    config.put("inference_mode", true).put("init_lora_weights", true);
    ArrayNode targets = config.putArray("target_modules");
    ObjectNode ranks = config.putObject("rank_pattern");
    ObjectNode alphas = config.putObject("alpha_pattern");
    modules.forEach(
        (name, factors) -> {
          targets.add(name);
          if (factors.terms() != rank) {
            ranks.put(name, factors.terms());
            alphas.put(name, factors.terms());
          }
        });
    return config;
  }
}
