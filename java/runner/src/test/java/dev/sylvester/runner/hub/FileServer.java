package dev.sylvester.runner.hub;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.util.ArrayDeque;
import java.util.List;
import java.util.Objects;
import java.util.Queue;
import java.util.concurrent.CopyOnWriteArrayList;

/** One file on a local port, by a server that can misbehave. */
final class FileServer implements AutoCloseable {
  private final HttpServer server;
  private byte[] content;

  /** What was asked for: {@code all}, or {@code from N}. */
  final List<String> requests = new CopyOnWriteArrayList<>();

  /** Bytes after which one connection each is cut; what comes later is whole. */
  final Queue<Integer> cutAfter = new ArrayDeque<>();

  /** Whether all other connections are cut before the first byte. */
  volatile boolean dead;

  /** Other than 0: nothing but this. */
  volatile int status;

  volatile String etag = "\"one\"";
  volatile boolean ranges = true;

  /** Whether If-Range is honoured. */
  volatile boolean conditions = true;

  FileServer(byte[] content) throws IOException {
    this.content = content;
    server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.createContext("/", this::serve);
    server.start();
  }

  URI address() {
    return URI.create("http://127.0.0.1:" + server.getAddress().getPort() + "/m/model.gguf");
  }

  void replace(byte[] content, String etag) {
    this.content = content;
    this.etag = etag;
  }

  int rangeStart(int request) {
    return Integer.parseInt(requests.get(request).substring("from ".length()));
  }

  private void serve(HttpExchange exchange) throws IOException {
    String range = exchange.getRequestHeaders().getFirst("Range");
    int first = range == null ? 0 : Integer.parseInt(range.replaceAll("bytes=(\\d+)-", "$1"));
    requests.add(range == null ? "all" : "from " + first);
    boolean unchanged =
        !conditions || Objects.equals(etag, exchange.getRequestHeaders().getFirst("If-Range"));
    if (status != 0) {
      exchange.sendResponseHeaders(status, -1);
    } else if (range == null || !ranges || !unchanged) {
      send(exchange, 200, 0);
    } else if (first >= content.length) {
      exchange.getResponseHeaders().set("Content-Range", "bytes */" + content.length);
      exchange.sendResponseHeaders(416, -1);
    } else {
      exchange
          .getResponseHeaders()
          .set(
              "Content-Range",
              "bytes %d-%d/%d".formatted(first, content.length - 1, content.length));
      send(exchange, 206, first);
    }
    exchange.close();
  }

  private void send(HttpExchange exchange, int code, int first) throws IOException {
    if (etag != null) {
      exchange.getResponseHeaders().set("ETag", etag);
    }
    int length = content.length - first;
    exchange.sendResponseHeaders(code, length);
    Integer cut = cutAfter.poll();
    int sent = cut == null ? (dead ? 0 : length) : Math.min(cut, length);
    exchange.getResponseBody().write(content, first, sent);
    exchange.getResponseBody().flush();
  }

  @Override
  public void close() {
    server.stop(0);
  }
}
