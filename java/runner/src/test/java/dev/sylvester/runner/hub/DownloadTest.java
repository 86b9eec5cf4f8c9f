package dev.sylvester.runner.hub;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DownloadTest {
  private static final int SIZE = 300_000;

  @TempDir private Path folder;
  private FileServer server;
  private byte[] content;
  private Path target;

  @BeforeEach
  void start() throws IOException {
    content = bytes(1);
    server = new FileServer(content);
    target = folder.resolve("deep/er/model.gguf");
  }

  @AfterEach
  void stop() {
    server.close();
  }

  private static byte[] bytes(long seed) {
    byte[] bytes = new byte[SIZE];
    new Random(seed).nextBytes(bytes);
    return bytes;
  }

  private void fetch(String sha256) throws Exception {
    Download.fetch(server.address(), target, sha256, Progress.NONE);
  }

  private Path part() {
    return target.resolveSibling("model.gguf.part");
  }

  private void assertComplete() throws IOException {
    assertThat(target).hasBinaryContent(content);
    try (var files = Files.list(target.getParent())) {
      assertThat(files).containsExactly(target);
    }
  }

  @Test
  void bringsTheFileAndTellsProgress() throws Exception {
    List<Long> seen = new ArrayList<>();
    Download.fetch(
        server.address(),
        target,
        null,
        (done, total) -> {
          assertThat(total).isEqualTo(SIZE);
          seen.add(done);
        });
    assertComplete();
    assertThat(seen).isSorted().startsWith(0L).endsWith((long) SIZE);
    assertThat(server.requests).containsExactly("all");
  }

  @Test
  void whatIsThereNeedsNoNetwork() throws Exception {
    fetch(null);
    String digest = Sha256.of(target);
    server.close();
    fetch(null);
    fetch(digest);
    assertComplete();
  }

  @Test
  void aLostConnectionIsTakenUpWithinTheSameCall() throws Exception {
    server.cutAfter.add(100_000);
    server.cutAfter.add(50_000);
    fetch(null);
    assertComplete();
    assertThat(server.requests).hasSize(3).first().isEqualTo("all");
    // The client may lose the end of what it had in its buffers, never more than was sent.
    assertThat(server.rangeStart(1)).isBetween(1, 100_000);
    assertThat(server.rangeStart(2)).isBetween(server.rangeStart(1), 150_000);
  }

  @Test
  void aLaterCallGoesOnFromThePart() throws Exception {
    server.cutAfter.add(100_000);
    server.dead = true;
    assertThatThrownBy(() -> fetch(null))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("the connection was lost after")
        .hasMessageContaining("the same command goes on");
    assertThat(target).doesNotExist();
    long kept = Files.size(part());
    assertThat(kept).isBetween(1L, 100_000L);
    server.dead = false;
    server.requests.clear();
    fetch(Sha256.of(write("expected", content)));
    assertComplete();
    assertThat(server.requests).containsExactly("from " + kept);
  }

  @Test
  void withoutAValidatorThereIsNothingToGoOnFrom() throws Exception {
    server.etag = null;
    server.cutAfter.add(100_000);
    assertThatThrownBy(() -> fetch(null))
        .hasMessageContaining("the connection was lost")
        .hasMessageNotContaining("goes on");
    fetch(null);
    assertComplete();
    assertThat(server.requests).containsExactly("all", "all");
  }

  @Test
  void aServerWithoutRangesStartsAgain() throws Exception {
    server.ranges = false;
    server.cutAfter.add(100_000);
    fetch(null);
    assertComplete();
  }

  @Test
  void aFileThatChangedIsBroughtFromTheStart() throws Exception {
    interrupt();
    content = bytes(2);
    server.replace(content, "\"two\"");
    fetch(null);
    assertComplete();
  }

  @Test
  void aServerThatIgnoresTheConditionIsFoundOut() throws Exception {
    interrupt();
    content = bytes(2);
    server.replace(content, "\"two\"");
    server.conditions = false;
    assertThatThrownBy(() -> fetch(null)).hasMessageContaining("changed since the download began");
    fetch(null);
    assertComplete();
  }

  @Test
  void aFileThatShrankIsFoundOut() throws Exception {
    interrupt();
    server.conditions = false;
    content = new byte[] {1, 2, 3};
    server.replace(content, "\"three\"");
    assertThatThrownBy(() -> fetch(null)).hasMessageContaining("HTTP 416");
    fetch(null);
    assertComplete();
  }

  @Test
  void aPartThatIsAlreadyWholeIsAccepted() throws Exception {
    Files.createDirectories(target.getParent());
    Files.write(part(), content);
    Files.writeString(target.resolveSibling("model.gguf.part.from"), server.etag);
    fetch(null);
    assertComplete();
    assertThat(server.requests).containsExactly("from " + SIZE);
  }

  @Test
  void aWrongDigestLeavesNothing() {
    assertThatThrownBy(() -> fetch("00".repeat(32)))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("SHA-256")
        .hasMessageContaining("expected 0000");
    assertThat(target).doesNotExist();
    assertThat(part()).doesNotExist();
  }

  @Test
  void aMissingFileIsToldApart() {
    server.status = 404;
    assertThatThrownBy(() -> fetch(null))
        .isInstanceOf(NotFoundException.class)
        .hasMessage(server.address() + ": HTTP 404, not found");
    server.status = 503;
    assertThatThrownBy(() -> fetch(null)).hasMessage(server.address() + ": HTTP 503");
    assertThat(target).doesNotExist();
  }

  @Test
  void nobodyThere() {
    URI address = server.address();
    server.close();
    assertThatThrownBy(() -> Download.fetch(address, target, null, Progress.NONE))
        .isInstanceOf(IOException.class)
        .hasMessageContaining(address.toString());
  }

  /** Leaves a part of the first content, and the server as it was. */
  private void interrupt() {
    server.cutAfter.add(100_000);
    server.dead = true;
    assertThatThrownBy(() -> fetch(null)).hasMessageContaining("lost");
    assertThat(part()).exists();
    server.dead = false;
    server.requests.clear();
  }

  private Path write(String name, byte[] bytes) throws IOException {
    return Files.write(folder.resolve(name), bytes);
  }
}
