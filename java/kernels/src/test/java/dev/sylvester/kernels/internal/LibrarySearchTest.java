package dev.sylvester.kernels.internal;

import static dev.sylvester.kernels.internal.LibraryFixture.LIBRARY;
import static dev.sylvester.kernels.internal.LibraryFixture.classPath;
import static dev.sylvester.kernels.internal.LibraryFixture.nativeJar;
import static dev.sylvester.kernels.internal.LibraryFixture.search;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.sylvester.kernels.ffi.SylvesterFfi;
import java.io.IOException;
import java.lang.foreign.SymbolLookup;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LibrarySearchTest {
  private static final String ZERO_HASH = "0".repeat(64);

  @TempDir Path home;

  @Test
  void abiVersionIsThatOfTheHeaders() {
    assertThat(NativeLibrary.ABI_VERSION).isEqualTo(SylvesterFfi.SYL_ABI_VERSION());
  }

  // ---- -Dsylvester.native.path

  @Test
  void strictPathLoadsThatFile() throws IOException {
    Path copy = Files.copy(LIBRARY, home.resolve("mine.so"));
    NativeLibrary library = strict(copy).load();
    assertThat(library.path()).isEqualTo(copy);
    assertThat(library.symbols().find("syl_version")).isPresent();
    assertThat(library.refused()).isEmpty();
  }

  @Test
  void strictPathHasNoFallback() throws IOException {
    LibrarySearch search =
        search(
            home,
            classPath(nativeJar(home.resolve("jar"), LIBRARY, LibraryCache.sha256(LIBRARY))),
            Map.of("sylvester.native.path", home.resolve("missing.so").toString()));
    assertThatThrownBy(search::load)
        .isInstanceOf(UnsatisfiedLinkError.class)
        .hasMessageContaining("-Dsylvester.native.path")
        .hasMessageContaining("missing.so: there is no such file");
  }

  @Test
  void garbageIsRefused() throws IOException {
    Path file = Files.writeString(home.resolve("garbage.so"), "garbage ".repeat(1000));
    assertStrictRefusal(file, "it is no 64-bit ELF file");
  }

  @Test
  void emptyFileAndFolderAreRefused() throws IOException {
    assertStrictRefusal(Files.createFile(home.resolve("empty.so")), "it is cut off");
    assertStrictRefusal(home, "it is no file");
  }

  @Test
  void libraryCutAnywhereIsRefused() throws IOException {
    byte[] whole = Files.readAllBytes(LIBRARY);
    for (int parts = 1; parts <= 8; parts++) {
      int length = (int) (loadedBytes(whole) * parts / 8) - 1;
      Path file = Files.write(home.resolve("cut.so"), Arrays.copyOf(whole, length));
      assertStrictRefusal(file, "it is cut off");
    }
  }

  @Test
  void programForAnotherProcessorIsRefused() throws IOException {
    byte[] bytes = Files.readAllBytes(LIBRARY);
    bytes[18] = 40; // 32-bit ARM
    bytes[19] = 0;
    assertStrictRefusal(Files.write(home.resolve("arm.so"), bytes), "it is for another processor");
  }

  @Test
  void otherLibraryIsRefused() throws Exception {
    Path other = LibraryFixture.compile(home, "other", "extern \"C\" int other() { return 1; }");
    assertStrictRefusal(other, "it has no function syl_abi_version");
  }

  @Test
  void otherAbiVersionIsRefused() throws Exception {
    Path other =
        LibraryFixture.compile(home, "abi", "extern \"C\" int syl_abi_version() { return 77; }");
    assertStrictRefusal(other, "its ABI version is 77, this Java code needs 1");
  }

  @Test
  void reasonOfTheDynamicLinkerIsTold() throws Exception {
    LibraryFixture.compile(home, "helper", "extern \"C\" int helper() { return 1; }");
    Files.writeString(
        home.resolve("user.cc"), "extern \"C\" int helper(); int user() { return helper(); }");
    Path user = home.resolve("user.so");
    LibraryFixture.run(
        List.of(
            "c++",
            "-shared",
            "-fPIC",
            "-o",
            user.toString(),
            home.resolve("user.cc").toString(),
            home.resolve("helper.so").toString()),
        Map.of());
    Files.delete(home.resolve("helper.so"));
    assertStrictRefusal(user, "helper.so");
  }

  // ---- The native jar

  @Test
  void jarIsExtractedOnce() throws IOException {
    String hash = LibraryCache.sha256(LIBRARY);
    ClassLoader jar = classPath(nativeJar(home.resolve("jar"), LIBRARY, hash + "\n"));
    NativeLibrary first = search(home, jar, Map.of()).load();
    assertThat(first.path())
        .isEqualTo(
            home.resolve(".cache/sylvester").resolve(hash).resolve(LibraryKind.CPU.fileName()));
    assertThat(first.sha256()).isEqualTo(hash);
    Object inode = Files.getAttribute(first.path(), "unix:ino");
    NativeLibrary second = search(home, jar, Map.of()).load();
    assertThat(Files.getAttribute(second.path(), "unix:ino")).isEqualTo(inode);
    assertOnlyTheLibraryIn(first.path().getParent());
  }

  @Test
  void chosenFolderComesFirst() throws IOException {
    String hash = LibraryCache.sha256(LIBRARY);
    ClassLoader jar = classPath(nativeJar(home.resolve("jar"), LIBRARY, hash));
    Path chosen = home.resolve("chosen");
    NativeLibrary library =
        search(home, jar, Map.of("sylvester.native.dir", chosen.toString())).load();
    assertThat(library.path()).startsWith(chosen);
  }

  @Test
  void corruptedCacheFileIsReplaced() throws IOException {
    String hash = LibraryCache.sha256(LIBRARY);
    ClassLoader jar = classPath(nativeJar(home.resolve("jar"), LIBRARY, hash));
    Path folder = Files.createDirectories(home.resolve(".cache/sylvester").resolve(hash));
    byte[] bytes = Files.readAllBytes(LIBRARY);
    bytes[bytes.length / 2] ^= 1;
    Files.write(folder.resolve(LibraryKind.CPU.fileName()), bytes);
    NativeLibrary library = search(home, jar, Map.of()).load();
    assertThat(library.path()).startsWith(folder);
    assertThat(library.path()).hasSameBinaryContentAs(LIBRARY);
    assertOnlyTheLibraryIn(folder);
  }

  @Test
  void unusableFoldersLeadToTheNext() throws IOException {
    ClassLoader jar =
        classPath(nativeJar(home.resolve("jar"), LIBRARY, LibraryCache.sha256(LIBRARY)));
    // Even root cannot create a folder below a file.
    Path file = Files.createFile(home.resolve("file"));
    Files.createFile(home.resolve(".cache"));
    NativeLibrary library =
        search(home, jar, Map.of("sylvester.native.dir", file.toString())).load();
    assertThat(library.path()).startsWith(home.resolve("tmp/sylvester-someone"));
    assertThat(library.refused()).hasSize(2);
    assertThat(library.refused().get(0)).startsWith(file + ": ");
    assertThat(library.refused().get(1)).startsWith(home.resolve(".cache/sylvester") + ": ");
  }

  @Test
  void noexecFolderLeadsToTheNext() throws IOException {
    ClassLoader jar =
        classPath(nativeJar(home.resolve("jar"), LIBRARY, LibraryCache.sha256(LIBRARY)));
    Path noexec = home.resolve(".cache");
    LibrarySearch.Opener opener =
        (kind, path) -> {
          if (path.startsWith(noexec)) {
            throw new RefusedException("failed to map segment from shared object");
          }
          return NativeLibrary.open(kind, path);
        };
    NativeLibrary library = search(home, jar, Map.of(), opener).load();
    assertThat(library.path()).startsWith(home.resolve("tmp"));
    assertThat(library.refused())
        .containsExactly(
            noexec.resolve("sylvester") + ": failed to map segment from shared object");
  }

  @Test
  void temporaryFolderOfOthersIsRefused() throws IOException {
    ClassLoader jar =
        classPath(nativeJar(home.resolve("jar"), LIBRARY, LibraryCache.sha256(LIBRARY)));
    Files.createFile(home.resolve(".cache"));
    Path folder = Files.createDirectories(home.resolve("tmp/sylvester-someone"));
    Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("rwxrwxrwx"));
    assertThatThrownBy(search(home, jar, Map.of())::load)
        .hasMessageContaining(folder + ": other users can write to it");
  }

  @Test
  void jarWithAnotherHashIsRefused() throws IOException {
    ClassLoader jar = classPath(nativeJar(home.resolve("jar"), LIBRARY, ZERO_HASH));
    assertThatThrownBy(search(home, jar, Map.of())::load)
        .hasMessageContaining("the library in the jar has hash " + LibraryCache.sha256(LIBRARY));
    assertThat(home.resolve(".cache/sylvester").resolve(ZERO_HASH)).isEmptyDirectory();
  }

  @Test
  void jarWithoutHashIsRefused() throws IOException {
    ClassLoader jar = classPath(nativeJar(home.resolve("jar"), LIBRARY, "../../elsewhere"));
    assertThatThrownBy(search(home, jar, Map.of())::load)
        .hasMessageContaining("there is no SHA-256 beside it");
  }

  // ---- The build folder, and nothing at all

  @Test
  void buildFolderAboveTheCodeIsTheLastResort() throws IOException {
    Path file = home.resolve("build/release").resolve(LibraryKind.CPU.fileName());
    Files.createDirectories(file.getParent());
    Files.copy(LIBRARY, file);
    NativeLibrary library = search(home, classPath(), Map.of()).load();
    assertThat(library.path()).isEqualTo(file);
    assertThat(library.refused()).hasSize(1).first().asString().contains("META-INF/native");
  }

  @Test
  void errorListsEveryPlace() throws IOException {
    Files.createDirectories(home.resolve("build/release"));
    Files.writeString(
        home.resolve("build/release").resolve(LibraryKind.CPU.fileName()), "not a library");
    ClassLoader jar =
        classPath(nativeJar(home.resolve("jar"), LIBRARY, LibraryCache.sha256(LIBRARY)));
    LibrarySearch.Opener none =
        (_, _) -> {
          throw new RefusedException("no");
        };
    assertThatThrownBy(search(home, jar, Map.of("sylvester.native.dir", home + "/a"), none)::load)
        .isInstanceOf(UnsatisfiedLinkError.class)
        .hasMessageContainingAll(
            home + "/a: no",
            home + "/.cache/sylvester: no",
            home + "/tmp/sylvester-someone: no",
            home + "/build/release/" + LibraryKind.CPU.fileName() + ": no",
            "classifier " + Platform.classifier());
  }

  // ---- The tier

  @Test
  void unknownTierIsAnError() {
    SymbolLookup symbols = NativeLibrary.lookup();
    assertThatThrownBy(() -> NativeLibrary.forceTier(symbols, _ -> "mmx", _ -> null))
        .isInstanceOf(UnsatisfiedLinkError.class)
        .hasMessageStartingWith("-Dsylvester.tier: syl_tier_force: name is \"mmx\"");
    assertThatThrownBy(() -> NativeLibrary.forceTier(symbols, _ -> null, _ -> "sse9"))
        .hasMessageStartingWith("SYLVESTER_TIER: syl_tier_force: name is \"sse9\"");
  }

  private LibrarySearch strict(Path path) throws IOException {
    return search(home, classPath(), Map.of("sylvester.native.path", path.toString()));
  }

  private void assertStrictRefusal(Path path, String reason) throws IOException {
    assertThatThrownBy(strict(path)::load)
        .isInstanceOf(UnsatisfiedLinkError.class)
        .hasMessageContaining(path.toString())
        .hasMessageContaining(reason);
  }

  private static void assertOnlyTheLibraryIn(Path folder) {
    assertThat(folder.toFile().list()).containsExactly(LibraryKind.CPU.fileName());
  }

  /**
   * End of the last loaded segment, by readelf's definition, read independently of {@link ElfFile}.
   */
  private static long loadedBytes(byte[] elf) {
    ByteBuffer buffer = ByteBuffer.wrap(elf).order(ByteOrder.LITTLE_ENDIAN);
    long end = 0;
    for (int i = 0; i < buffer.getShort(56); i++) {
      int header = (int) buffer.getLong(32) + 56 * i;
      if (buffer.getInt(header) == 1) {
        end = Math.max(end, buffer.getLong(header + 8) + buffer.getLong(header + 32));
      }
    }
    return end;
  }
}
