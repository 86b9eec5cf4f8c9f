package dev.sylvester.kernels.ffi;

import static org.assertj.core.api.Assertions.assertThat;

import dev.sylvester.kernels.internal.NativeLibrary;
import org.junit.jupiter.api.Test;

class GeneratedBindingsTest extends BindingsContract {
  private static final Header HEADER = Header.read(name -> !name.startsWith("cuda"));

  GeneratedBindingsTest() {
    super(HEADER, SylvesterFfi.class, NativeLibrary.lookup());
  }

  @Test
  void theHeadersWereRead() {
    assertThat(HEADER.functions()).hasSizeGreaterThan(20);
    assertThat(HEADER.structs()).hasSizeGreaterThanOrEqualTo(4);
    assertThat(HEADER.constants()).hasSizeGreaterThan(20);
  }
}
