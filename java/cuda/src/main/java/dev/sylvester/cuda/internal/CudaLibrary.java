package dev.sylvester.cuda.internal;

import dev.sylvester.kernels.Status;
import dev.sylvester.kernels.SylvesterException;
import dev.sylvester.kernels.internal.LibraryKind;
import dev.sylvester.kernels.internal.LibraryNotFoundError;
import dev.sylvester.kernels.internal.NativeLibrary;
import java.lang.foreign.SymbolLookup;
import java.util.List;

/**
 * The CUDA library of this class loader, or why there is none.
 *
 * @param setting what was asked for
 * @param loaded the library, or null
 * @param refused places that were tried before, each with the reason
 * @param reason why there is none; null with a library
 */
public record CudaLibrary(
    DeviceSetting setting, NativeLibrary loaded, List<String> refused, String reason) {

  private static volatile CudaLibrary instance;

  /**
   * Looks for the library on the first call.
   *
   * @return what was found
   * @throws SylvesterException (BAD_VALUE) if the setting is none of the choices
   */
  public static CudaLibrary instance() {
    CudaLibrary library = instance;
    return library != null ? library : find();
  }

  private static synchronized CudaLibrary find() {
    if (instance == null) {
      instance = find(DeviceSetting.ofThisProcess());
    }
    return instance;
  }

  /**
   * Its functions.
   *
   * @return what the generated bindings look symbols up in
   * @throws SylvesterException (UNSUPPORTED) if there is no library
   */
  public static SymbolLookup lookup() {
    CudaLibrary library = instance();
    if (library.loaded == null) {
      throw new SylvesterException(Status.UNSUPPORTED, library.reason);
    }
    return library.loaded.symbols();
  }

  private static CudaLibrary find(DeviceSetting setting) {
    if (setting.choice() == DeviceSetting.Choice.CPU) {
      return new CudaLibrary(setting, null, List.of(), "switched off by " + setting.source());
    }
    LibraryKind kind = setting.choice().library();
    try {
      NativeLibrary library = NativeLibrary.load(kind);
      return new CudaLibrary(setting, library, library.refused(), null);
    } catch (LibraryNotFoundError e) {
      String reason = "there is no " + kind.fileName() + " that loads";
      return new CudaLibrary(setting, null, e.refused(), reason);
    }
  }
}
