package dev.sylvester.kernels;

import dev.sylvester.kernels.ffi.syl_kv_memory;
import java.lang.foreign.MemorySegment;

/**
 * What a sequence takes up.
 *
 * @param tokens of the sequence
 * @param packedTokens of them in packed tiles
 * @param sinkTokens kept as halves because they are sinks, mean over the layers, rounded up
 * @param codesBytes of packed tokens, all layers
 * @param paramsBytes their scales and zeros
 * @param sinkBytes reserved for sinks
 * @param windowBytes reserved for the recent window
 * @param tableBytes page tables and counters
 * @param slackBytes of pages beyond the tokens
 * @param totalBytes the sum of the above
 * @param ratioVsF16 bytes of halves for all tokens / (codes + parameters + halves in use)
 */
public record KvMemory(
    long tokens,
    long packedTokens,
    long sinkTokens,
    long codesBytes,
    long paramsBytes,
    long sinkBytes,
    long windowBytes,
    long tableBytes,
    long slackBytes,
    long totalBytes,
    double ratioVsF16) {

  static KvMemory of(MemorySegment struct) {
    return new KvMemory(
        syl_kv_memory.tokens(struct),
        syl_kv_memory.packed_tokens(struct),
        syl_kv_memory.sink_tokens(struct),
        syl_kv_memory.codes_bytes(struct),
        syl_kv_memory.params_bytes(struct),
        syl_kv_memory.sink_bytes(struct),
        syl_kv_memory.window_bytes(struct),
        syl_kv_memory.table_bytes(struct),
        syl_kv_memory.slack_bytes(struct),
        syl_kv_memory.total_bytes(struct),
        syl_kv_memory.ratio_vs_f16(struct));
  }
}
