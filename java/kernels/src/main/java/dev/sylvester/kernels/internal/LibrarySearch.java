package dev.sylvester.kernels.internal;

import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.SymbolLookup;
import java.net.URI;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.CodeSource;
import java.util.ArrayList;
import java.util.List;
import java.util.function.UnaryOperator;

/**
 * Where a native library is looked for, in this order:
 *
 * <ol>
 *   <li>the file that its system property names ({@code -Dsylvester.native.path} and the like), and
 *       no other;
 *   <li>its jar on the class path, extracted into the first usable one of {@code
 *       -Dsylvester.native.dir}, {@code $XDG_CACHE_HOME/sylvester} or {@code ~/.cache/sylvester},
 *       and a folder below {@code java.io.tmpdir};
 *   <li>{@code build/release} in a folder above this code, for work on the library itself.
 * </ol>
 *
 * @param kind the library
 * @param property system properties
 * @param environment environment variables
 * @param resources class path of the native jar
 * @param code folder or jar of this code
 * @param opener opens a file
 */
record LibrarySearch(
    LibraryKind kind,
    UnaryOperator<String> property,
    UnaryOperator<String> environment,
    ClassLoader resources,
    Path code,
    Opener opener) {

  /** Opens a library. */
  interface Opener {
    SymbolLookup open(LibraryKind kind, Path path) throws RefusedException;
  }

  private static final String FOLDER_PROPERTY = "sylvester.native.dir";

  static LibrarySearch ofThisProcess(LibraryKind kind) {
    return new LibrarySearch(
        kind,
        System::getProperty,
        System::getenv,
        LibrarySearch.class.getClassLoader(),
        codeLocation(),
        NativeLibrary::open);
  }

  /** The first library that loads. */
  NativeLibrary load() {
    String strict = property.apply(kind.pathProperty());
    if (strict != null && !strict.isBlank()) {
      return loadStrict(Path.of(strict).toAbsolutePath());
    }
    List<String> refused = new ArrayList<>();
    NativeLibrary library = loadFromJar(refused);
    if (library == null) {
      library = loadFromBuild(refused);
    }
    if (library == null) {
      throw new LibraryNotFoundError(
          "Sylvester's "
              + kind.title()
              + " cannot be loaded. Tried:\n  - "
              + String.join("\n  - ", refused)
              + "\n"
              + kind.advice(),
          refused);
    }
    return library;
  }

  private NativeLibrary loadStrict(Path path) {
    try {
      return new NativeLibrary(opener.open(kind, path), path, List.of());
    } catch (RefusedException e) {
      String place = "-D%s names %s: %s".formatted(kind.pathProperty(), path, e.getMessage());
      throw new LibraryNotFoundError(
          "Sylvester's %s cannot be loaded. %s".formatted(kind.title(), place), List.of(place));
    }
  }

  private NativeLibrary loadFromJar(List<String> refused) {
    String name = kind.resource();
    URL resource = resources.getResource(name);
    if (resource == null) {
      refused.add("class path: there is no " + name);
      return null;
    }
    String sha256;
    try (InputStream in = resources.getResourceAsStream(name + ".sha256")) {
      sha256 = in == null ? "" : new String(in.readAllBytes(), StandardCharsets.US_ASCII).strip();
    } catch (IOException e) {
      refused.add(resource + ": " + e);
      return null;
    }
    if (!sha256.matches("[0-9a-f]{64}")) {
      refused.add(resource + ": there is no SHA-256 beside it");
      return null;
    }
    for (Path folder : cacheFolders()) {
      try {
        if (folder.equals(temporaryFolder())) {
          LibraryCache.createOwned(folder);
        }
        Path path = LibraryCache.extract(resource, sha256, folder, kind.fileName());
        return new NativeLibrary(opener.open(kind, path), path, List.copyOf(refused));
      } catch (RefusedException e) {
        refused.add(folder + ": " + e.getMessage());
      } catch (IOException e) {
        refused.add(folder + ": " + e);
      }
    }
    return null;
  }

  private List<Path> cacheFolders() {
    List<Path> folders = new ArrayList<>();
    String chosen = property.apply(FOLDER_PROPERTY);
    if (chosen != null && !chosen.isBlank()) {
      folders.add(Path.of(chosen).toAbsolutePath());
    }
    String cache = environment.apply("XDG_CACHE_HOME");
    Path user =
        cache == null || cache.isBlank()
            ? Path.of(property.apply("user.home"), ".cache")
            : Path.of(cache);
    if (user.isAbsolute()) { // the standard says that a relative one is to be ignored
      folders.add(user.resolve("sylvester"));
    }
    folders.add(temporaryFolder());
    return folders;
  }

  private Path temporaryFolder() {
    return Path.of(property.apply("java.io.tmpdir"), "sylvester-" + property.apply("user.name"))
        .toAbsolutePath();
  }

  private NativeLibrary loadFromBuild(List<String> refused) {
    for (Path folder = code; folder != null; folder = folder.getParent()) {
      Path path = folder.resolve("build/release").resolve(kind.fileName());
      if (Files.exists(path)) {
        try {
          return new NativeLibrary(opener.open(kind, path), path, List.copyOf(refused));
        } catch (RefusedException e) {
          refused.add(path + ": " + e.getMessage());
        }
      }
    }
    refused.add(code + ": no folder above it has a build/release/" + kind.fileName());
    return null;
  }

  private static Path codeLocation() {
    CodeSource source = LibrarySearch.class.getProtectionDomain().getCodeSource();
    URL location = source == null ? null : source.getLocation();
    return location != null && location.getProtocol().equals("file")
        ? Path.of(URI.create(location.toString())).toAbsolutePath()
        : null;
  }
}
