package dev.sylvester.runner.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.sylvester.kernels.spec.SpecStats;
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

  /** What speculation did, as {@code generate --json} tells it. */
  static Map<String, Object> object(SpecStats stats) {
    Map<String, Object> object = new LinkedHashMap<>();
    object.put("rounds", stats.rounds());
    object.put("drafted", stats.drafted());
    object.put("accepted", stats.accepted());
    object.put("emitted", stats.emitted());
    object.put("tokens_per_pass", measured(stats.tokensPerPass()));
    object.put("acceptance_rate", measured(stats.acceptanceRate()));
    object.put("length_histogram", stats.lengthHistogram());
    object.put("discard_rate", measured(stats.discardRate()));
    object.put("t_draft_ms", measured(stats.draftNanos() * 1e-6 / stats.drafted()));
    object.put("t_target_ms", measured(stats.targetNanos() * 1e-6 / stats.rounds()));
    object.put("speedup_estimate", measured(stats.speedupEstimate()));
    return object;
  }

  /** A quotient; null when nothing was there to divide by. */
  static Double measured(double value) {
    return Double.isFinite(value) ? value : null;
  }

  static void print(PrintStream out, Map<String, ?> object) {
    try {
      out.println(MAPPER.writeValueAsString(object));
    } catch (JsonProcessingException e) {
      throw new IllegalStateException(e);
    }
  }
}
