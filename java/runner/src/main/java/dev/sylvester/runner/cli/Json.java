package dev.sylvester.runner.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.sylvester.runner.CacheUsage;
import java.io.PrintStream;
import java.util.LinkedHashMap;
import java.util.Map;

/** One object on one line. */
final class Json {
  private static final ObjectMapper MAPPER = new ObjectMapper();

  private Json() {}

  /** What a cache takes up, as {@code generate --json} tells it. */
  static Map<String, Object> object(CacheUsage usage) {
    Map<String, Object> object = new LinkedHashMap<>();
    object.put("preset", usage.preset());
    object.put("bytes_per_token", usage.bytesPerToken());
    object.put("effective_bits_k", usage.bitsKeys());
    object.put("effective_bits_v", usage.bitsValues());
    object.put("ratio_vs_f16", usage.ratioVsF16());
    object.put("sink_tokens", usage.sinkTokens());
    object.put("codes_bytes", usage.codesBytes());
    object.put("params_bytes", usage.paramsBytes());
    object.put("total_bytes", usage.totalBytes());
    return object;
  }

  static void print(PrintStream out, Map<String, ?> object) {
    try {
      out.println(MAPPER.writeValueAsString(object));
    } catch (JsonProcessingException e) {
      throw new IllegalStateException(e);
    }
  }
}
