/** Speculative decoding with models: heads that predict acceptance, and their training. */
package dev.sylvester.runner.spec;
