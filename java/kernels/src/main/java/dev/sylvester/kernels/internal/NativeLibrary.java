package dev.sylvester.kernels.internal;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.nio.file.Path;
import java.util.List;
import java.util.function.UnaryOperator;

/**
 * A loaded native library.
 *
 * @param symbols its functions; never unloaded
 * @param path the file
 * @param refused places that were tried before, each with the reason
 */
public record NativeLibrary(SymbolLookup symbols, Path path, List<String> refused) {
  /** SYL_ABI_VERSION of the headers that the Java code was generated from. */
  static final int ABI_VERSION = 1;

  private static final int RTLD_LAZY = 1;

  @SuppressWarnings("restricted")
  private static final FunctionDescriptor TEXT_FUNCTION =
      FunctionDescriptor.of(
          ADDRESS.withTargetLayout(MemoryLayout.sequenceLayout(Long.MAX_VALUE, JAVA_BYTE)));

  private static NativeLibrary instance;

  /**
   * The processor's library of this class loader, loaded on the first call.
   *
   * @return the library
   * @throws UnsatisfiedLinkError that lists every place tried, and why it was refused
   */
  public static synchronized NativeLibrary instance() {
    if (instance == null) {
      NativeLibrary library = load(LibraryKind.CPU);
      forceTier(library.symbols, System::getProperty, System::getenv);
      instance = library;
    }
    return instance;
  }

  /**
   * Loads another library.
   *
   * @param kind which
   * @return the library
   * @throws LibraryNotFoundError if there is none that loads
   */
  public static NativeLibrary load(LibraryKind kind) {
    return LibrarySearch.ofThisProcess(kind).load();
  }

  /**
   * Functions of the processor's library of this class loader.
   *
   * @return what the generated bindings look symbols up in
   */
  public static SymbolLookup lookup() {
    return instance().symbols;
  }

  /**
   * Hash of the file.
   *
   * @return SHA-256, hexadecimal
   * @throws IOException if the file can no longer be read
   */
  public String sha256() throws IOException {
    return LibraryCache.sha256(path);
  }

  /** Opens a file, and refuses all but a library of this ABI version. */
  @SuppressWarnings("restricted")
  static SymbolLookup open(LibraryKind kind, Path path) throws RefusedException {
    if (Platform.isLinux()) {
      ElfFile.check(path);
    }
    SymbolLookup symbols;
    try {
      symbols = SymbolLookup.libraryLookup(path, Arena.global());
    } catch (IllegalArgumentException e) {
      throw new RefusedException(linkerError(path));
    }
    int version = abiVersion(symbols, kind.abiFunction());
    if (version != ABI_VERSION) {
      throw new RefusedException(
          "its ABI version is %d, this Java code needs %d; use a library and a jar of the same release"
              .formatted(version, ABI_VERSION));
    }
    return symbols;
  }

  // Invoked exactly, as every start passes here: other ways of calling a handle take milliseconds.
  private static int abiVersion(SymbolLookup symbols, String name) throws RefusedException {
    MethodHandle version = function(symbols, name, FunctionDescriptor.of(JAVA_INT));
    try {
      return (int) version.invokeExact();
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }

  /** Honours the setting of the tier; an unknown or unsupported one is an error. */
  static void forceTier(
      SymbolLookup symbols, UnaryOperator<String> property, UnaryOperator<String> environment) {
    String source = "-Dsylvester.tier";
    String tier = property.apply("sylvester.tier");
    if (tier == null || tier.isBlank()) {
      source = "SYLVESTER_TIER";
      tier = environment.apply("SYLVESTER_TIER");
    }
    if (tier == null || tier.isBlank()) {
      return;
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment name = arena.allocateFrom(tier.strip());
      MethodHandle force =
          function(symbols, "syl_tier_force", FunctionDescriptor.of(JAVA_INT, ADDRESS));
      MethodHandle lastError = function(symbols, "syl_last_error", TEXT_FUNCTION);
      if ((int) call(force, name) != 0) {
        MemorySegment error = (MemorySegment) call(lastError);
        throw new UnsatisfiedLinkError(source + ": " + error.getString(0));
      }
    } catch (RefusedException e) {
      throw new UnsatisfiedLinkError(source + ": " + e.getMessage());
    }
  }

  /**
   * What the dynamic linker says about a file it does not open; the virtual machine keeps that to
   * itself.
   */
  private static String linkerError(Path path) {
    SymbolLookup system = Linker.nativeLinker().defaultLookup();
    try (Arena arena = Arena.ofConfined()) {
      MethodHandle open =
          function(system, "dlopen", FunctionDescriptor.of(ADDRESS, ADDRESS, JAVA_INT));
      MethodHandle error = function(system, "dlerror", TEXT_FUNCTION);
      call(error); // linked now: symbol lookups in between would replace the text
      call(open, arena.allocateFrom(path.toString()), RTLD_LAZY);
      MemorySegment text = (MemorySegment) call(error);
      return text.equals(MemorySegment.NULL) ? "it cannot be opened" : text.getString(0);
    } catch (RefusedException e) {
      return "it cannot be opened";
    }
  }

  @SuppressWarnings("restricted")
  private static MethodHandle function(
      SymbolLookup symbols, String name, FunctionDescriptor descriptor) throws RefusedException {
    MemorySegment address =
        symbols.find(name).orElseThrow(() -> new RefusedException("it has no function " + name));
    return Linker.nativeLinker().downcallHandle(address, descriptor);
  }

  private static Object call(MethodHandle function, Object... arguments) {
    try {
      return function.invokeWithArguments(arguments);
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }
}
