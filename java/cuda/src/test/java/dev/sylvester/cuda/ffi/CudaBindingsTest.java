package dev.sylvester.cuda.ffi;

import static org.assertj.core.api.Assertions.assertThat;

import dev.sylvester.cuda.internal.CudaLibrary;
import dev.sylvester.kernels.ffi.BindingsContract;
import dev.sylvester.kernels.ffi.Header;
import org.junit.jupiter.api.Test;

class CudaBindingsTest extends BindingsContract {
  private static final Header HEADER = Header.read(name -> name.startsWith("cuda"));

  CudaBindingsTest() {
    super(HEADER, CudaFfi.class, CudaLibrary.lookup());
  }

  @Test
  void theHeaderWasRead() {
    assertThat(HEADER.functions()).hasSizeGreaterThanOrEqualTo(20);
    assertThat(HEADER.structs()).containsKey("syl_cuda_device");
  }
}
