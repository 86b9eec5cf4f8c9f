/** Native inference kernels for Java: the safe API over Sylvester's C ABI. */
module dev.sylvester.kernels {
  exports dev.sylvester.kernels;
}
