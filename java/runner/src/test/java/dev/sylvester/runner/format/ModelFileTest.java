package dev.sylvester.runner.format;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Finding, opening and closing of model files. */
class ModelFileTest {
  @TempDir Path temporary;
  private Path folder;

  @BeforeEach
  void resolveLinks() throws IOException {
    folder = temporary.toRealPath();
  }

  private static void assertOpens(Path path, Class<? extends ModelFile> format, Path expected) {
    try (ModelFile model = ModelFile.open(path)) {
      assertThat(model).isInstanceOf(format);
      assertThat(model.path()).isEqualTo(expected);
      LlamaTensors.requireAll(model);
    }
  }

  private static void assertRefuses(Path path, String message) {
    assertThatThrownBy(() -> ModelFile.open(path))
        .isInstanceOf(ModelFormatException.class)
        .hasMessage(message);
  }

  @Test
  void ggufByNameByMagicAndInFolder() throws IOException {
    Path named = folder.resolve("a.gguf");
    Path blob = folder.resolve("blob");
    Files.write(named, GgufWriter.llama().write());
    Files.write(blob, GgufWriter.llama().write());
    assertOpens(named, GgufFile.class, named);
    assertOpens(blob, GgufFile.class, blob);
    assertOpens(folder, GgufFile.class, named);
    Files.copy(named, folder.resolve("b.gguf"));
    assertRefuses(folder, folder + ": holds no config.json and 2 .gguf files, expected one");
  }

  @Test
  void safetensorsByNameAndInFolder() throws IOException {
    SafetensorsWriter.llama().write(folder);
    assertOpens(folder, SafetensorsFolder.class, folder);
    assertOpens(folder.resolve("model.safetensors"), SafetensorsFolder.class, folder);
    SafetensorsWriter other = SafetensorsWriter.llama();
    other.name = "other.safetensors";
    other.write(folder);
    assertOpens(folder.resolve("other.safetensors"), SafetensorsFolder.class, folder);
  }

  @Test
  void linkedFilesAsInDownloadCaches() throws IOException {
    SafetensorsWriter.llama().write(folder.resolve("blobs"));
    Path snapshot = Files.createDirectory(folder.resolve("snapshot"));
    for (String name : new String[] {"config.json", "model.safetensors"}) {
      Files.createSymbolicLink(snapshot.resolve(name), Path.of("../blobs", name));
    }
    assertOpens(snapshot, SafetensorsFolder.class, snapshot);
  }

  @Test
  void version2() throws IOException {
    GgufWriter writer = GgufWriter.llama();
    writer.version = 2;
    Path file = Files.write(folder.resolve("a.gguf"), writer.write());
    assertOpens(file, GgufFile.class, file);
  }

  @Test
  void nothingThere() throws IOException {
    Path missing = folder.resolve("missing");
    assertRefuses(missing, missing + ": no such file");
    assertRefuses(folder.resolve("a.gguf"), folder.resolve("a.gguf") + ": no such file");
    Path lonely = folder.resolve("a.safetensors");
    assertRefuses(lonely, folder.resolve("config.json") + ": no such file");
    assertRefuses(folder, folder + ": holds no config.json and 0 .gguf files, expected one");
    Files.writeString(
        folder.resolve("config.json"), SafetensorsWriter.object(SafetensorsWriter.llama().config));
    assertRefuses(folder, folder.resolve("model.safetensors") + ": no such file");
  }

  @Test
  void otherThings() throws IOException {
    Path text = Files.writeString(folder.resolve("text"), "GG");
    assertRefuses(text, text + ": neither a GGUF nor a safetensors file");
    Path device = Path.of("/dev/zero");
    assertRefuses(device, device + ": neither a GGUF nor a safetensors file");
    Path link = Files.createSymbolicLink(folder.resolve("zero.gguf"), device);
    assertRefuses(link, link + ": is not a regular file");
    Files.delete(link);
    Path config = Files.createSymbolicLink(folder.resolve("config.json"), device);
    assertRefuses(folder, config + ": is not a regular file");
    Files.delete(config);
  }

  @Test
  void tensorsAreReadOnlyAndEndWithTheFile() throws IOException {
    Path file = Files.write(folder.resolve("a.gguf"), GgufWriter.llama().write());
    ModelFile model = ModelFile.open(file);
    assertThat(model.bytes()).isEqualTo(Files.size(file));
    MemorySegment data = model.require("model.norm.weight", 8).data();
    assertThat(data.get(ValueLayout.JAVA_FLOAT_UNALIGNED, 28)).isEqualTo(7f);
    assertThat(data.byteSize()).isEqualTo(32);
    assertThatThrownBy(() -> data.set(ValueLayout.JAVA_BYTE, 0, (byte) 1))
        .isInstanceOf(IllegalArgumentException.class);
    model.close();
    model.close();
    assertThatThrownBy(() -> data.get(ValueLayout.JAVA_BYTE, 0))
        .isInstanceOf(IllegalStateException.class);
  }

  @Test
  void nothingStaysMapped() throws IOException {
    Path good = Files.write(folder.resolve("good.gguf"), GgufWriter.llama().write());
    GgufWriter broken = GgufWriter.llama().set("llama.block_count", 0);
    Path bad = Files.write(folder.resolve("bad.gguf"), broken.write());
    SafetensorsWriter.llama().write(folder.resolve("shared"));
    for (int i = 0; i < 1000; i++) {
      ModelFile.open(good).close();
      ModelFile.open(folder.resolve("shared")).close();
      assertThatThrownBy(() -> ModelFile.open(bad)).isInstanceOf(ModelFormatException.class);
    }
    try (ModelFile model = ModelFile.open(good)) {
      assertThat(mapped()).as("while %s is open", model.path()).isEqualTo(1);
    }
    assertThat(mapped()).as("after closing").isZero();
  }

  private long mapped() throws IOException {
    return Files.readAllLines(Path.of("/proc/self/maps")).stream()
        .filter(line -> line.contains(folder.toString()))
        .count();
  }
}
