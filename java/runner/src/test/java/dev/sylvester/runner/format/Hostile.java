package dev.sylvester.runner.format;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowable;

import java.nio.file.Path;
import java.util.function.Consumer;

/**
 * One malformed model and the complaint it must get.
 *
 * @param message all of the message after the name of the file
 */
record Hostile<T>(String name, Consumer<T> damage, String message) {
  @Override
  public String toString() {
    return name;
  }

  /** Opening the model and using each of its tensors fails with just this message. */
  void expect(Path file, Path culprit) {
    Throwable thrown =
        catchThrowable(
            () -> {
              try (ModelFile model = ModelFile.open(file)) {
                LlamaTensors.requireAll(model);
              }
            });
    assertThat(thrown).as(name).isInstanceOf(ModelFormatException.class);
    assertThat(thrown.getMessage()).isEqualTo(culprit + ": " + message);
    assertThat(thrown.getMessage()).hasLineCount(1);
  }
}
