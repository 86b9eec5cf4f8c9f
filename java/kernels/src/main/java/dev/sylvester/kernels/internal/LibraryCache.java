package dev.sylvester.kernels.internal;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.DigestInputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.Set;

/**
 * Takes the library out of the class path once: folder/hash/file, complete and right, or not there.
 */
final class LibraryCache {
  private LibraryCache() {}

  /**
   * The file of the given hash in the folder, taken from the resource when it is not there or not
   * right.
   */
  static Path extract(URL resource, String sha256, Path folder, String fileName)
      throws IOException, RefusedException {
    Path directory = folder.resolve(sha256);
    Path target = directory.resolve(fileName);
    if (Files.isRegularFile(target) && sha256(target).equals(sha256)) {
      return target;
    }
    createPrivate(directory);
    // Others may do the same at this moment: each writes its own file, the last rename wins, all
    // are equal.
    Path temporary = Files.createTempFile(directory, fileName, ".tmp");
    try {
      try (InputStream in = resource.openStream()) {
        Files.copy(in, temporary, StandardCopyOption.REPLACE_EXISTING);
      }
      String actual = sha256(temporary);
      if (!actual.equals(sha256)) {
        throw new RefusedException("the library in the jar has hash " + actual + ", not " + sha256);
      }
      Files.move(temporary, target, StandardCopyOption.ATOMIC_MOVE);
    } finally {
      Files.deleteIfExists(temporary);
    }
    return target;
  }

  /** A folder below one that everybody may write to: it must be this user's alone. */
  static void createOwned(Path folder) throws IOException, RefusedException {
    createPrivate(folder);
    Set<PosixFilePermission> permissions =
        Files.getPosixFilePermissions(folder, LinkOption.NOFOLLOW_LINKS);
    Object owner = Files.getAttribute(folder, "unix:uid", LinkOption.NOFOLLOW_LINKS);
    Object user = Files.getAttribute(Path.of("/proc/self"), "unix:uid");
    if (!owner.equals(user)
        || permissions.contains(PosixFilePermission.GROUP_WRITE)
        || permissions.contains(PosixFilePermission.OTHERS_WRITE)) {
      throw new RefusedException("other users can write to it");
    }
  }

  private static void createPrivate(Path folder) throws IOException {
    Files.createDirectories(
        folder, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
  }

  static String sha256(Path file) throws IOException {
    try {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      try (InputStream in = new DigestInputStream(Files.newInputStream(file), digest)) {
        in.transferTo(OutputStream.nullOutputStream());
      }
      return HexFormat.of().formatHex(digest.digest());
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every Java platform has SHA-256", e);
    }
  }
}
