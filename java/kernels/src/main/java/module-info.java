/** Native inference kernels for Java: the safe API over Sylvester's C ABI. */
@SuppressWarnings("module") // a build of this module alone does not know the one that it exports to
module dev.sylvester.kernels {
  exports dev.sylvester.kernels;
  exports dev.sylvester.kernels.spec;
  exports dev.sylvester.kernels.ffi to
      dev.sylvester.cuda;
  exports dev.sylvester.kernels.internal to
      dev.sylvester.cuda;
}
