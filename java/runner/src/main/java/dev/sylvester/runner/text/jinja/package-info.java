/**
 * The part of Jinja that chat templates are written in, as transformers sets it up: {@code
 * trim_blocks} and {@code lstrip_blocks}, no autoescape, loop controls, the generation tag, {@code
 * raise_exception}, {@code strftime_now} and its {@code tojson}.
 *
 * <p>Values are those of Python: {@code null} is None; Boolean, Long, Double, String, List and Map
 * are themselves; {@link dev.sylvester.runner.text.jinja.Undefined} is what a name without a value
 * is. There is nothing else a template can reach: no class, no file, no environment.
 */
package dev.sylvester.runner.text.jinja;
