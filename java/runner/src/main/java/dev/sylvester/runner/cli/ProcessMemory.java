package dev.sylvester.runner.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.OptionalLong;

/** Memory as the system counts it. */
final class ProcessMemory {
  private static final Path STATUS = Path.of("/proc/self/status");
  private static final Path SYSTEM = Path.of("/proc/meminfo");

  private ProcessMemory() {}

  /** Most resident memory of this process so far, in bytes; 0 where the system does not tell. */
  static long peakBytes() {
    return bytes(STATUS, "VmHWM:").orElse(0);
  }

  /** What processes can still get, in bytes; empty where the system does not tell. */
  static OptionalLong availableBytes() {
    return bytes(SYSTEM, "MemAvailable:");
  }

  private static OptionalLong bytes(Path file, String entry) {
    try {
      return Files.readAllLines(file).stream()
          .filter(line -> line.startsWith(entry))
          .mapToLong(line -> Long.parseLong(line.replaceAll("\\D+", "")) * 1024)
          .findFirst();
    } catch (IOException e) {
      return OptionalLong.empty();
    }
  }
}
