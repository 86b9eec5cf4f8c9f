package dev.sylvester.runner.format;

import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Comparator;
import java.util.List;
import java.util.UUID;
import java.util.stream.Stream;

/** A folder of files that appears as a whole or not at all. */
public final class NewFolder {
  private NewFolder() {}

  /** Puts files into a folder. */
  @FunctionalInterface
  public interface Content {
    /** Called once. */
    void write(Path folder) throws IOException;
  }

  /**
   * Fills a folder beside it, then renames that.
   *
   * @throws FileAlreadyExistsException when there is anything of this name
   * @throws IOException when it cannot be written
   */
  public static void create(Path folder, Content content) throws IOException {
    if (Files.exists(folder)) {
      throw new FileAlreadyExistsException(folder.toString(), null, "exists already");
    }
    Path target = folder.toAbsolutePath();
    Path temporary = target.resolveSibling(target.getFileName() + "." + UUID.randomUUID() + ".tmp");
    Files.createDirectory(temporary);
    try {
      content.write(temporary);
      Files.move(temporary, target, StandardCopyOption.ATOMIC_MOVE);
    } finally {
      if (Files.exists(temporary)) {
        deleteTree(temporary);
      }
    }
  }

  /**
   * Deletes a folder and all below it.
   *
   * @throws IOException when something cannot be deleted
   */
  public static void deleteTree(Path folder) throws IOException {
    List<Path> deepestFirst;
    try (Stream<Path> paths = Files.walk(folder)) {
      deepestFirst = paths.sorted(Comparator.reverseOrder()).toList();
    }
    for (Path path : deepestFirst) {
      Files.delete(path);
    }
  }
}
