package dev.sylvester.runner.hub;

import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.time.Duration;

/**
 * Brings one file over HTTP. What has arrived is kept in {@code NAME.part} beside the target, with
 * the server's validator (ETag or Last-Modified) in {@code NAME.part.from}; a later call goes on
 * from there when the validator still holds. The target appears by an atomic rename, whole and
 * verified, or not at all.
 */
final class Download {
  private static final int ATTEMPTS_WITHOUT_PROGRESS = 3;
  private static final Duration RESPONSE_TIMEOUT = Duration.ofSeconds(60);

  private final URI source;
  private final Path target;
  private final Path part;
  private final Path origin;
  private final Progress progress;

  private Download(URI source, Path target, Progress progress) {
    this.source = source;
    this.target = target;
    this.part = target.resolveSibling(target.getFileName() + ".part");
    this.origin = target.resolveSibling(target.getFileName() + ".part.from");
    this.progress = progress;
  }

  /**
   * Downloads source to target, or does nothing when the target is there.
   *
   * @param source an http or https address
   * @param target the file to make; its folder is created
   * @param sha256 the expected digest in hexadecimal, or null
   * @throws IOException naming the address and what went wrong
   */
  static void fetch(URI source, Path target, String sha256, Progress progress)
      throws IOException, InterruptedException {
    if (Files.exists(target) && (sha256 == null || Sha256.of(target).equalsIgnoreCase(sha256))) {
      return;
    }
    Files.createDirectories(target.toAbsolutePath().getParent());
    new Download(source, target, progress).run(sha256);
  }

  private void run(String sha256) throws IOException, InterruptedException {
    try (HttpClient client =
            HttpClient.newBuilder()
                .followRedirects(HttpClient.Redirect.NORMAL)
                .connectTimeout(Duration.ofSeconds(20))
                .build();
        FileChannel channel =
            FileChannel.open(
                part,
                StandardOpenOption.CREATE,
                StandardOpenOption.READ,
                StandardOpenOption.WRITE)) {
      lock(channel);
      receive(client, channel);
      channel.force(true);
    }
    if (sha256 != null) {
      Sha256.require(sha256, part, source.toString());
    }
    Files.move(part, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    Files.deleteIfExists(origin);
  }

  /** Held until the channel closes. */
  private void lock(FileChannel channel) throws IOException {
    boolean locked;
    try {
      locked = channel.tryLock() != null;
    } catch (OverlappingFileLockException e) {
      locked = false;
    }
    if (!locked) {
      throw new IOException(part + " is being written by another download");
    }
  }

  /** Asks for the rest until all of it is here; a lost connection is taken up again. */
  private void receive(HttpClient client, FileChannel channel)
      throws IOException, InterruptedException {
    int attemptsLeft = ATTEMPTS_WITHOUT_PROGRESS;
    while (true) {
      long before = channel.size();
      try {
        request(client, channel);
        return;
      } catch (Interrupted e) {
        boolean resumable = Files.exists(origin);
        attemptsLeft = channel.size() > before ? ATTEMPTS_WITHOUT_PROGRESS : attemptsLeft - 1;
        if (attemptsLeft == 0 || !resumable) {
          throw new IOException(
              "%s: the connection was lost after %,d bytes (%s)%s"
                  .formatted(
                      source,
                      channel.size(),
                      e.getMessage(),
                      resumable ? "; the same command goes on from there" : ""),
              e);
        }
      }
    }
  }

  private void request(HttpClient client, FileChannel channel)
      throws IOException, InterruptedException {
    String validator = Files.exists(origin) ? Files.readString(origin).strip() : "";
    long have = validator.isEmpty() ? 0 : channel.size();
    HttpRequest.Builder builder = HttpRequest.newBuilder(source).timeout(RESPONSE_TIMEOUT);
    if (have > 0) {
      builder.header("Range", "bytes=" + have + "-").header("If-Range", validator);
    }
    HttpResponse<InputStream> response;
    try {
      response = client.send(builder.build(), BodyHandlers.ofInputStream());
    } catch (IOException e) {
      throw new Interrupted(reason(e), e);
    }
    try (InputStream body = response.body()) {
      switch (response.statusCode()) {
        case 200 -> {
          // From the beginning: nothing was here, or the server ignores ranges, or the file
          // changed.
          String fresh = validator(response);
          if (fresh.isEmpty()) {
            Files.deleteIfExists(origin);
          } else {
            Files.writeString(origin, fresh);
          }
          channel.truncate(0);
          copy(body, channel, 0, response.headers().firstValueAsLong("Content-Length").orElse(-1));
        }
        case 206 -> {
          ContentRange range = ContentRange.parse(header(response, "Content-Range"));
          String now = validator(response);
          if (range == null || range.first != have || !(now.isEmpty() || now.equals(validator))) {
            throw discard("the file at the server changed since the download began");
          }
          copy(body, channel, have, range.total);
        }
        case 416 -> {
          ContentRange range = ContentRange.parse(header(response, "Content-Range"));
          if (range == null || range.total != have) {
            throw discard("HTTP 416: the server's file is not the one that was begun");
          }
        }
        case 404, 410 ->
            throw new NotFoundException(
                "%s: HTTP %d, not found".formatted(source, response.statusCode()));
        default -> throw new IOException("%s: HTTP %d".formatted(source, response.statusCode()));
      }
    }
  }

  private void copy(InputStream body, FileChannel channel, long from, long total)
      throws IOException {
    byte[] buffer = new byte[1 << 16];
    long done = from;
    channel.position(from);
    while (true) {
      progress.update(done, total);
      int read;
      try {
        read = body.read(buffer);
      } catch (IOException e) {
        throw new Interrupted(reason(e), e);
      }
      if (read < 0) {
        break;
      }
      ByteBuffer chunk = ByteBuffer.wrap(buffer, 0, read);
      while (chunk.hasRemaining()) {
        channel.write(chunk);
      }
      done += read;
    }
    if (total >= 0 && done != total) {
      throw new Interrupted("%,d of %,d bytes came".formatted(done, total), null);
    }
  }

  private IOException discard(String why) throws IOException {
    Files.deleteIfExists(part);
    Files.deleteIfExists(origin);
    return new IOException(
        "%s: %s; the partial file was discarded, run the command again".formatted(source, why));
  }

  /** A strong ETag, else Last-Modified, else empty: nothing that a resumed request could name. */
  private static String validator(HttpResponse<?> response) {
    String tag = header(response, "ETag");
    return tag.isEmpty() || tag.startsWith("W/") ? header(response, "Last-Modified") : tag;
  }

  private static String header(HttpResponse<?> response, String name) {
    return response.headers().firstValue(name).orElse("");
  }

  private static String reason(IOException e) {
    return e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
  }

  /** The transfer broke off: unlike other errors, one that asking again may mend. */
  private static final class Interrupted extends IOException {
    private static final long serialVersionUID = 1;

    Interrupted(String message, Throwable cause) {
      super(message, cause);
    }
  }

  /** {@code bytes FIRST-LAST/TOTAL} or {@code bytes &#42;/TOTAL}; -1 for what is not told. */
  private record ContentRange(long first, long total) {
    static ContentRange parse(String header) {
      int slash = header.indexOf('/');
      int dash = header.indexOf('-');
      if (!header.startsWith("bytes ") || slash < 0) {
        return null;
      }
      try {
        String total = header.substring(slash + 1);
        return new ContentRange(
            dash < 0 || dash > slash ? -1 : Long.parseLong(header.substring(6, dash)),
            total.equals("*") ? -1 : Long.parseLong(total));
      } catch (NumberFormatException e) {
        return null;
      }
    }
  }
}
