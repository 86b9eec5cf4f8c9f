package dev.sylvester.cuda;

import dev.sylvester.cuda.internal.CudaLibrary;
import dev.sylvester.cuda.internal.DeviceSetting.Choice;
import dev.sylvester.kernels.Status;
import dev.sylvester.kernels.SylvesterException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What CUDA comes to in this process.
 *
 * @param setting who decided what to compute on, for example {@code -Dsylvester.device=cuda}
 * @param forced whether the lack of a device is an error
 * @param library file of the CUDA library; null if there is none
 * @param refused places tried before it, each with the reason
 * @param driver version of the kernel's driver; null if there is none, or it does not tell
 * @param devices that can be used
 * @param reason why there is none, in one line; null if there is one
 */
public record CudaDescription(
    String setting,
    boolean forced,
    Path library,
    List<String> refused,
    String driver,
    List<CudaDevice> devices,
    String reason) {

  private static final Path DRIVER_VERSION = Path.of("/proc/driver/nvidia/version");
  private static final Pattern VERSION = Pattern.compile("\\b\\d+\\.\\d+(\\.\\d+)?\\b");

  /** Found once, when it is first asked for; an unknown setting is asked for again. */
  private static CudaDescription instance;

  static synchronized CudaDescription ofThisProcess() {
    if (instance == null) {
      instance = of(CudaLibrary.instance());
    }
    return instance;
  }

  private static CudaDescription of(CudaLibrary library) {
    List<CudaDevice> devices = List.of();
    String driver = driverVersion();
    String reason = library.reason();
    if (reason == null) {
      try {
        devices = CudaDevice.load();
        reason = objection(library.setting().choice(), devices);
      } catch (SylvesterException e) {
        // The runtime calls a driver that is not there too old.
        boolean noDriver = driver == null && e.status() == Status.UNSUPPORTED;
        reason = noDriver ? "no driver was found: " + e.getMessage() : e.getMessage();
      }
    }
    return new CudaDescription(
        library.setting().source(),
        library.setting().choice().forced(),
        library.loaded() == null ? null : library.loaded().path(),
        library.refused(),
        driver,
        reason == null ? devices : List.of(),
        reason);
  }

  /** Why the library's devices are not what was asked for; null if they are. */
  private static String objection(Choice choice, List<CudaDevice> devices) {
    if (devices.isEmpty()) {
      return "the driver has no device";
    }
    boolean emulated = devices.getFirst().emulated();
    if (emulated && choice != Choice.EMULATOR) {
      return "the library is the emulator, which -Dsylvester.device=emulator asks for";
    }
    return !emulated && choice == Choice.EMULATOR ? "the library is not the emulator" : null;
  }

  private static String driverVersion() {
    try {
      Matcher version = VERSION.matcher(Files.readString(DRIVER_VERSION));
      return version.find() ? version.group() : null;
    } catch (IOException e) {
      return null;
    }
  }

  /**
   * Whether there is a device.
   *
   * @return false: compute on the processor
   */
  public boolean available() {
    return !devices.isEmpty();
  }

  /**
   * Returns unless a device was asked for and there is none.
   *
   * @throws SylvesterException (UNSUPPORTED, with the reason)
   */
  public void check() {
    if (forced && !available()) {
      throw new SylvesterException(
          Status.UNSUPPORTED, setting + ": no CUDA device: " + explanation());
    }
  }

  /** The reason, and what led to it. */
  private String explanation() {
    return library == null && !refused.isEmpty()
        ? reason + " (" + String.join("; ", refused) + ")"
        : reason;
  }

  /**
   * All of it, for people.
   *
   * @return lines without a line end after the last
   */
  public String text() {
    StringBuilder text = new StringBuilder();
    for (CudaDevice device : devices) {
      line(text, "gpu", describe(device));
    }
    if (devices.isEmpty()) {
      line(text, "gpu", "none: " + reason);
    }
    for (String place : refused) {
      line(text, "not used", place);
    }
    if (driver != null) {
      line(text, "driver", driver);
    }
    if (library != null) {
      line(text, "cuda", library.toString());
    }
    return text.toString().stripTrailing();
  }

  private static String describe(CudaDevice device) {
    return String.format(
        Locale.ROOT,
        "%d: %s, compute capability %d.%d, %d multiprocessors, %.1f GiB",
        device.index(),
        device.emulated() ? device.name() + " (on the host, for tests)" : device.name(),
        device.major(),
        device.minor(),
        device.multiprocessors(),
        device.memory() / 0x1p30);
  }

  private static void line(StringBuilder text, String name, String value) {
    text.append("%-9s %s%n".formatted(name, value));
  }
}
