package dev.sylvester.kernels.internal;

/** The project's native libraries. */
public enum LibraryKind {
  /** Kernels for the processor. */
  CPU(
      "native library",
      "sylvester",
      "cpu",
      "sylvester.native.path",
      "syl_abi_version",
      "Add dev.sylvester:sylvester-kernels with classifier "
          + Platform.classifier()
          + " to the class path"),
  /** Their twins for CUDA devices. */
  CUDA(
      "CUDA library",
      "sylvester_cuda",
      "cuda",
      "sylvester.cuda.path",
      "syl_cuda_abi_version",
      "Add dev.sylvester:sylvester-cuda with classifier "
          + Platform.classifier()
          + " to the class path"),
  /** The twins on the host; in build folders only. */
  CUDA_EMULATOR(
      "CUDA emulator",
      "sylvester_cuda_emu",
      "cuda",
      "sylvester.cuda.path",
      "syl_cuda_abi_version",
      "Build it from source");

  private final String title;
  private final String libraryName;
  private final String folder;
  private final String pathProperty;
  private final String abiFunction;
  private final String source;

  LibraryKind(
      String title,
      String libraryName,
      String folder,
      String pathProperty,
      String abiFunction,
      String source) {
    this.title = title;
    this.libraryName = libraryName;
    this.folder = folder;
    this.pathProperty = pathProperty;
    this.abiFunction = abiFunction;
    this.source = source;
  }

  /**
   * What messages call it.
   *
   * @return for example native library
   */
  public String title() {
    return title;
  }

  /**
   * The file's name on this system.
   *
   * @return for example libsylvester.so
   */
  public String fileName() {
    return System.mapLibraryName(libraryName);
  }

  /**
   * The system property that names the file to be used.
   *
   * @return for example sylvester.native.path
   */
  public String pathProperty() {
    return pathProperty;
  }

  /** Its place inside a jar. */
  String resource() {
    return "META-INF/native/" + Platform.classifier() + "/" + folder + "/" + fileName();
  }

  /** The function that returns its SYL_ABI_VERSION. */
  String abiFunction() {
    return abiFunction;
  }

  /** What to do about a missing one. */
  String advice() {
    return source + ", or name the file with -D" + pathProperty;
  }
}
