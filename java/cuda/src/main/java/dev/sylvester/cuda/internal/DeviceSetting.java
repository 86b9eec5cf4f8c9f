package dev.sylvester.cuda.internal;

import dev.sylvester.kernels.Status;
import dev.sylvester.kernels.SylvesterException;
import dev.sylvester.kernels.internal.LibraryKind;
import java.util.Locale;
import java.util.function.UnaryOperator;

/**
 * What to compute on.
 *
 * @param choice what was asked for
 * @param source who asked: {@code -Dsylvester.device=cuda}, {@code SYLVESTER_DEVICE=cuda}, or the
 *     default
 */
public record DeviceSetting(Choice choice, String source) {
  private static final String PROPERTY = "sylvester.device";
  private static final String VARIABLE = "SYLVESTER_DEVICE";

  /** What can be asked for. */
  public enum Choice {
    /** CUDA where there is a device; nothing happens where there is none. */
    AUTO,
    /** No CUDA. */
    CPU,
    /** CUDA; an error where there is no device. */
    CUDA,
    /** CUDA on the host, for tests; an error where there is no emulator. */
    EMULATOR;

    /**
     * Whether the lack of a device is an error.
     *
     * @return true for cuda and emulator
     */
    public boolean forced() {
      return this == CUDA || this == EMULATOR;
    }

    /**
     * Where its functions are.
     *
     * @return the library
     */
    LibraryKind library() {
      return this == EMULATOR ? LibraryKind.CUDA_EMULATOR : LibraryKind.CUDA;
    }
  }

  /**
   * The setting of this process.
   *
   * @return the setting
   * @throws SylvesterException (BAD_VALUE) if it is none of the choices
   */
  public static DeviceSetting ofThisProcess() {
    return of(System::getProperty, System::getenv);
  }

  static DeviceSetting of(UnaryOperator<String> property, UnaryOperator<String> environment) {
    String source = "-D" + PROPERTY;
    String value = property.apply(PROPERTY);
    if (value == null || value.isBlank()) {
      source = VARIABLE;
      value = environment.apply(VARIABLE);
    }
    if (value == null || value.isBlank()) {
      return new DeviceSetting(Choice.AUTO, "by default");
    }
    String name = value.strip();
    for (Choice choice : Choice.values()) {
      if (choice.name().toLowerCase(Locale.ROOT).equals(name)) {
        return new DeviceSetting(choice, source + "=" + name);
      }
    }
    throw new SylvesterException(
        Status.BAD_VALUE, source + " is \"" + name + "\", must be auto, cpu, cuda or emulator");
  }
}
