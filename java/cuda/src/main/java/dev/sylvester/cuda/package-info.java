/**
 * Sylvester on CUDA: devices, memory, streams, and the twins of the kernels.
 *
 * <p>Conventions of the whole package:
 *
 * <ul>
 *   <li>Work is enqueued on a {@link dev.sylvester.cuda.CudaStream}; {@code null} is the device's
 *       default stream, which does not wait for the others. Kernels neither wait nor allocate.
 *   <li>Results have the bits of {@link dev.sylvester.kernels}, but for attention over a packed
 *       cache, whose error is bounded.
 *   <li>A bad argument gives a {@link dev.sylvester.kernels.SylvesterException} that names
 *       function, argument and value, before anything is enqueued; what was closed gives {@link
 *       java.lang.IllegalStateException}. A fault of a kernel shows up in a later call, usually
 *       {@link dev.sylvester.cuda.CudaStream#await}.
 *   <li>Without library, driver or device {@link dev.sylvester.cuda.CudaDevice#available} is false
 *       and everything else goes on.
 * </ul>
 *
 * <p>Memory, streams and events are our own C functions over the CUDA runtime on every device, not
 * those of JavaCPP's presets: so there is one path, which the tests run on the emulator, and the
 * module needs no other library. The presets see the same memory and streams by {@link
 * dev.sylvester.cuda.CudaPresets}.
 */
package dev.sylvester.cuda;
