/**
 * Runs language models on the kernels of {@code dev.sylvester.kernels}.
 *
 * <p>A {@link dev.sylvester.runner.Model} holds weights and tokenizer, a {@link
 * dev.sylvester.runner.Session} one text and its cache; a {@link
 * dev.sylvester.runner.GenerationRequest} says what to generate, a {@link
 * dev.sylvester.runner.Sampler} how tokens are chosen, a {@link dev.sylvester.runner.Generation}
 * what came of it.
 */
package dev.sylvester.runner;
