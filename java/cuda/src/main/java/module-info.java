/**
 * CUDA devices, memory and streams, and the twins of the kernels.
 *
 * <p>JavaCPP and its CUDA presets are only needed by those who use {@link
 * dev.sylvester.cuda.CudaPresets}.
 */
module dev.sylvester.cuda {
  requires transitive dev.sylvester.kernels;
  requires static org.bytedeco.cuda;
  requires static org.bytedeco.javacpp;

  exports dev.sylvester.cuda;
}
