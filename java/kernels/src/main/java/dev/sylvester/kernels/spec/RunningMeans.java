package dev.sylvester.kernels.spec;

/**
 * What the rounds so far cost and gave, as means that forget slowly.
 *
 * @param acceptance of a candidate whose predecessors were accepted
 * @param tokensPerNano tokens that a nanosecond of drafting, reading and verifying gives
 * @param draftNanos time of a candidate in the draft
 */
public record RunningMeans(double acceptance, double tokensPerNano, double draftNanos) {}
