package dev.sylvester.runner;

/**
 * What the keys and values of a session take up.
 *
 * @param preset f16, f32, a preset, auto, or plan when a file says how
 * @param bytesPerToken of one more token of a long text
 * @param bitsKeys of a number of packed keys, scales and zeros counted
 * @param bitsValues the same for values
 * @param ratioVsF16 bytes that halves would take, over those in use
 * @param sinkTokens tokens kept as halves for good, mean over the layers
 * @param codesBytes of packed tokens, or the floats
 * @param paramsBytes scales and zeros of packed tokens
 * @param totalBytes all that is reserved
 */
public record CacheUsage(
    String preset,
    long bytesPerToken,
    double bitsKeys,
    double bitsValues,
    double ratioVsF16,
    long sinkTokens,
    long codesBytes,
    long paramsBytes,
    long totalBytes) {}
