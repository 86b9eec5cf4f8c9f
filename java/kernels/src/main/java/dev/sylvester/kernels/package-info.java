/**
 * Sylvester's kernels, safe to call: shapes are checked against segment sizes before native code
 * runs, so that no argument can crash the virtual machine.
 *
 * <p>Conventions of the whole package:
 *
 * <ul>
 *   <li>Data are native {@link java.lang.foreign.MemorySegment}s that start at the first element;
 *       alignment does not matter. Slice a segment once and keep the slice where a call allocates
 *       nothing. {@link dev.sylvester.kernels.Hadamard} takes arrays as well.
 *   <li>Sizes and strides are {@code long}; strides count elements from one row to the next.
 *   <li>A {@code null} {@link dev.sylvester.kernels.ThreadPool} means the calling thread alone.
 *       Results never depend on the number of threads, nor a row's result on the other rows of the
 *       call.
 *   <li>A bad argument gives a {@link dev.sylvester.kernels.SylvesterException} that names
 *       function, argument and value, before anything is written; a closed arena, pool, workspace
 *       or cache gives {@link java.lang.IllegalStateException}, a segment confined to another
 *       thread {@link java.lang.WrongThreadException}.
 *   <li>Calls allocate nothing on the Java heap; workspaces grow on first use and are reused.
 * </ul>
 */
package dev.sylvester.kernels;
