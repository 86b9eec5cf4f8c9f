package dev.sylvester.runner.hub;

import dev.sylvester.runner.format.NewFolder;
import java.io.IOException;
import java.io.InputStream;
import java.net.JarURLConnection;
import java.net.URI;
import java.net.URL;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;

/**
 * The models inside this library, as files. They are resources below {@code models/} on the class
 * path: a folder there is used as it stands; those in a jar are copied once into the user's cache,
 * into a folder named by the checksums of its entries.
 */
final class Embedded {
  private static final String MARKER = "models/gsm-mini/README.md";

  private Embedded() {}

  /** The folder that holds {@code gsm-mini/}. */
  static Path folder() throws IOException {
    return folder(Embedded.class.getClassLoader());
  }

  static Path folder(ClassLoader loader) throws IOException {
    URL marker = loader.getResource(MARKER);
    if (marker == null) {
      throw new IOException("the embedded models are missing: no resource " + MARKER);
    }
    if (marker.getProtocol().equals("file")) {
      return Path.of(URI.create(marker.toString())).getParent().getParent();
    }
    JarURLConnection connection = (JarURLConnection) marker.openConnection();
    connection.setUseCaches(false);
    try (JarFile jar = connection.getJarFile()) {
      return extracted(jar);
    }
  }

  private static Path extracted(JarFile jar) throws IOException {
    List<JarEntry> entries =
        jar.stream().filter(e -> e.getName().startsWith("models/") && !e.isDirectory()).toList();
    long key = 0;
    for (JarEntry entry : entries) {
      key = 31 * key + (entry.getCrc() ^ (long) entry.getName().hashCode() << 32);
    }
    Path folder = ModelCache.root().resolve("embedded").resolve(Long.toHexString(key));
    if (Files.isDirectory(folder)) {
      return folder.resolve("models");
    }
    Path temporary = ModelCache.temporaryFolder();
    try {
      for (JarEntry entry : entries) {
        Path file = temporary.resolve(entry.getName()).normalize();
        if (!file.startsWith(temporary)) {
          throw new IOException("entry outside the jar's folder: " + entry.getName());
        }
        Files.createDirectories(file.getParent());
        try (InputStream in = jar.getInputStream(entry)) {
          Files.copy(in, file);
        }
      }
      Files.createDirectories(folder.getParent());
      Files.move(temporary, folder, StandardCopyOption.ATOMIC_MOVE);
    } catch (FileAlreadyExistsException | DirectoryNotEmptyException e) {
      // Another process was faster, with the same content.
      NewFolder.deleteTree(temporary);
    }
    return folder.resolve("models");
  }
}
