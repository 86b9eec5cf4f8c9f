/** How good a model is, and how good it stays: problems, perplexity, retrieval. */
package dev.sylvester.runner.eval;
