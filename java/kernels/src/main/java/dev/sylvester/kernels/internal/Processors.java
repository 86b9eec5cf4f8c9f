package dev.sylvester.kernels.internal;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.Set;
import java.util.stream.Stream;

/** How many cores are worth a thread. */
public final class Processors {
  private static final Path SYSTEM = Path.of("/sys/devices/system/cpu");

  private Processors() {}

  /**
   * Physical cores, at most as many as the container's quota and the process's affinity allow.
   *
   * @return at least 1
   */
  public static int usableCores() {
    return usableCores(SYSTEM, Runtime.getRuntime().availableProcessors());
  }

  // The virtual machine's count honours affinity and control groups, but counts hyperthreads.
  static int usableCores(Path system, int availableProcessors) {
    int physical = physicalCores(system);
    return Math.max(
        1, physical == 0 ? availableProcessors : Math.min(physical, availableProcessors));
  }

  /** Distinct sets of sibling hyperthreads; 0 where the system does not tell. */
  private static int physicalCores(Path system) {
    Set<String> cores = new HashSet<>();
    try (Stream<Path> processors = Files.list(system)) {
      for (Path processor : (Iterable<Path>) processors::iterator) {
        Path siblings = processor.resolve("topology/thread_siblings_list");
        if (Files.isReadable(siblings)) {
          cores.add(Files.readString(siblings).strip());
        }
      }
    } catch (IOException e) {
      return 0;
    }
    return cores.size();
  }
}
