/**
 * Speculative decoding that changes nothing: a draft proposes tokens, the target reads them in one
 * pass, {@link dev.sylvester.kernels.Verifier} keeps those that the target would have given. An
 * engine implements {@link dev.sylvester.kernels.spec.TargetModel}, a draft {@link
 * dev.sylvester.kernels.spec.DraftSource}; {@link dev.sylvester.kernels.spec.Speculation} runs the
 * rounds.
 *
 * <p>Objects belong to one thread at a time. A bad argument gives a {@link
 * dev.sylvester.kernels.SylvesterException} or {@link java.lang.IllegalArgumentException} that
 * names argument and value.
 */
package dev.sylvester.kernels.spec;
