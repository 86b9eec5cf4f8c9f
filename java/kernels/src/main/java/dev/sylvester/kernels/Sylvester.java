package dev.sylvester.kernels;

import dev.sylvester.kernels.ffi.SylvesterFfi;
import dev.sylvester.kernels.internal.NativeLibrary;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * The native library as a whole. It is loaded on first use, from {@code -Dsylvester.native.path} or
 * the native jar on the class path; if that fails, methods throw {@link UnsatisfiedLinkError} with
 * every place tried and why it was refused. {@code -Dsylvester.tier} or the environment variable
 * {@code SYLVESTER_TIER} forces a tier.
 */
public final class Sylvester {
  private Sylvester() {}

  /**
   * Version of the native library.
   *
   * @return for example 0.1.0
   */
  public static String version() {
    NativeLibrary.instance();
    return SylvesterFfi.syl_version().getString(0);
  }

  /**
   * Kernels in use: sse4, avx2, avx512, avx512vnni or neon.
   *
   * @return the tier's name
   */
  public static String tier() {
    NativeLibrary.instance();
    return SylvesterFfi.syl_tier().getString(0);
  }

  /**
   * All tiers that this processor can run.
   *
   * @return names, slowest first
   */
  public static List<String> supportedTiers() {
    NativeLibrary.instance();
    return List.of(SylvesterFfi.syl_tiers_supported().getString(0).split(" "));
  }

  /**
   * Uses the named tier in the whole process from now on. For tests and diagnosis.
   *
   * @param name a supported tier; null returns to the best one
   * @throws SylvesterException BAD_VALUE for an unknown name, UNSUPPORTED if the processor lacks it
   */
  public static void forceTier(String name) {
    NativeLibrary.instance();
    try (Arena arena = Arena.ofConfined()) {
      SylvesterException.check(
          SylvesterFfi.syl_tier_force(
              name == null ? MemorySegment.NULL : arena.allocateFrom(name)));
    }
  }

  /**
   * What is in use, and why not something else.
   *
   * @return a description; {@link Description#text()} is for people
   */
  public static Description describe() {
    NativeLibrary library = NativeLibrary.instance();
    try {
      return new Description(
          version(),
          SylvesterFfi.syl_abi_version(),
          library.path(),
          library.sha256(),
          library.refused(),
          tier(),
          supportedTiers(),
          ThreadPool.defaultThreads());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
