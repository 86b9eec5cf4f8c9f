package dev.sylvester.kernels.internal;

import java.util.Locale;

/** Names of this operating system and processor. */
final class Platform {
  private static final int ELF_X86_64 = 62;
  private static final int ELF_AARCH64 = 183;

  private Platform() {}

  /** As in the classifier of the native jar, for example linux-x86_64. */
  static String classifier() {
    return system() + "-" + architecture();
  }

  static boolean isLinux() {
    return system().equals("linux");
  }

  static int elfMachine() {
    return architecture().equals("aarch64") ? ELF_AARCH64 : ELF_X86_64;
  }

  private static String system() {
    String name = System.getProperty("os.name").toLowerCase(Locale.ROOT);
    return name.startsWith("mac") ? "macosx" : name.startsWith("windows") ? "windows" : name;
  }

  private static String architecture() {
    String name = System.getProperty("os.arch");
    return name.equals("amd64") ? "x86_64" : name;
  }
}
