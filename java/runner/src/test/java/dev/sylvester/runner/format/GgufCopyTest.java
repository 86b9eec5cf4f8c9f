package dev.sylvester.runner.format;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class GgufCopyTest {
  private static final String UP = "model.layers.0.mlp.up_proj.weight";

  @TempDir private Path folder;

  private Path original(GgufWriter writer) throws IOException {
    Path file = folder.resolve("original.gguf");
    Files.write(file, writer.write());
    return file;
  }

  /** The reader checks that tensors are aligned, lie in the file and share no byte. */
  @ParameterizedTest
  @CsvSource({"2, 32", "3, 32", "3, 8", "3, 4096"})
  void changedTensorsAreExchangedAndAllElseStays(int version, int alignment) throws IOException {
    GgufWriter writer = GgufWriter.llama().set("general.alignment", alignment);
    writer.version = version;
    writer.alignment = alignment;
    // Not a whole number of alignments, in front of others.
    writer.add("extra.weight", 24, new long[] {3}, new byte[] {7, 8, 9});
    writer.add("last.weight", 5);
    byte[] halves = new byte[8 * 12 * 2];
    for (int i = 0; i < halves.length; i++) {
      halves[i] = (byte) (i % 40);
    }
    Path copy = folder.resolve("copy.gguf");
    try (GgufFile file = GgufFile.open(original(writer))) {
      StoredTensor up =
          new StoredTensor(TensorType.F16, new long[] {12, 8}, () -> MemorySegment.ofArray(halves));
      file.writeChanged(copy, Map.of(UP, up));
    }
    try (Arena arena = Arena.ofConfined();
        GgufFile before = GgufFile.open(folder.resolve("original.gguf"));
        GgufFile after = GgufFile.open(copy)) {
      MemorySegment old = MappedFile.map(before.path(), arena);
      MemorySegment made = MappedFile.map(copy, arena);
      long end = GgufHeader.parse(before.path(), old).pairsEnd();
      assertThat(made.asSlice(0, end).mismatch(old.asSlice(0, end))).isEqualTo(-1);
      assertThat(made.byteSize() % alignment).isZero();
      assertThat(after.tensors().stream().map(Tensor::nameInFile))
          .containsExactlyElementsOf(before.tensors().stream().map(Tensor::nameInFile).toList());
      for (Tensor tensor : before.tensors()) {
        Tensor other = after.find(tensor.name()).orElseThrow();
        assertThat(other.shape()).isEqualTo(tensor.shape());
        if (tensor.name().equals(UP)) {
          assertThat(other.type()).isEqualTo(TensorType.F16);
          assertThat(other.data().mismatch(MemorySegment.ofArray(halves))).isEqualTo(-1);
        } else {
          assertThat(other.type()).isEqualTo(tensor.type());
          assertThat(other.data().mismatch(tensor.data())).as(tensor.name()).isEqualTo(-1);
        }
      }
    }
  }

  @Test
  void nothingIsLeftOfAFailure() throws IOException {
    try (GgufFile file = GgufFile.open(original(GgufWriter.llama()))) {
      StoredTensor broken =
          new StoredTensor(
              TensorType.F16,
              new long[] {12, 8},
              () -> {
                throw new IllegalArgumentException("no data");
              });
      Path copy = folder.resolve("copy.gguf");
      assertThatThrownBy(() -> file.writeChanged(copy, Map.of(UP, broken))).hasMessage("no data");
      assertThatThrownBy(() -> file.writeChanged(file.path(), Map.of()))
          .isInstanceOf(FileAlreadyExistsException.class);
    }
    try (var left = Files.list(folder)) {
      assertThat(left).containsExactly(folder.resolve("original.gguf"));
    }
  }
}
