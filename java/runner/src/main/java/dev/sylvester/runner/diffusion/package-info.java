/**
 * Masked diffusion language models: a canvas of unknown tokens is filled a few positions at a time.
 *
 * <p>A {@link dev.sylvester.runner.diffusion.Schedule} says where and how many, a {@link
 * dev.sylvester.runner.diffusion.CommitRule} which positions, a {@link
 * dev.sylvester.runner.diffusion.StopRule} when the rest is known already, a {@link
 * dev.sylvester.runner.diffusion.CachePolicy} what is computed anew. All of them work on any logits
 * ({@link dev.sylvester.runner.diffusion.Denoiser}), not only on those of this library's models.
 */
package dev.sylvester.runner.diffusion;
