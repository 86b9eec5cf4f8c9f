/** Adapters made from weights: what sums of Kronecker products hold of them, and of a change. */
package dev.sylvester.runner.adapt;
