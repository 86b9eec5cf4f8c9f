package dev.sylvester.runner;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;

/** A manifest below tests/golden: tokens and the logits that other people's code has for them. */
record Golden(Path manifest, JsonNode json) {
  static final Path ROOT = Path.of(System.getProperty("sylvester.root"));
  private static final ObjectMapper MAPPER = new ObjectMapper();

  static Golden read(String manifest) {
    try {
      Path path = ROOT.resolve("tests/golden").resolve(manifest);
      return new Golden(path, MAPPER.readTree(path.toFile()));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  int[] tokens() {
    return ints(json.get("tokens"));
  }

  static int[] ints(JsonNode array) {
    int[] values = new int[array.size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = array.get(i).intValue();
    }
    return values;
  }

  double tolerance() {
    return json.get("tolerance").get("value").doubleValue();
  }

  /** One row for each token. */
  float[][] logits(String key) throws IOException {
    Path file = manifest.resolveSibling(json.get(key).textValue());
    ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
    int rows = json.get("shape").get(0).intValue();
    float[][] logits = new float[rows][json.get("shape").get(1).intValue()];
    for (float[] row : logits) {
      bytes.asFloatBuffer().get(row);
      bytes.position(bytes.position() + row.length * Float.BYTES);
    }
    assertThat(bytes.hasRemaining()).isFalse();
    return logits;
  }

  /** Largest difference in a row, relative to the row's largest magnitude; of the worst row. */
  static double error(float[][] got, float[][] want) {
    assertThat(got.length).isEqualTo(want.length);
    double worst = 0;
    for (int row = 0; row < want.length; row++) {
      worst = Math.max(worst, error(got[row], want[row]));
    }
    return worst;
  }

  static double error(float[] got, float[] want) {
    assertThat(got).hasSameSizeAs(want);
    double difference = 0;
    double magnitude = 0;
    for (int i = 0; i < want.length; i++) {
      assertThat(got[i]).isFinite();
      difference = Math.max(difference, Math.abs((double) got[i] - want[i]));
      magnitude = Math.max(magnitude, Math.abs(want[i]));
    }
    return difference / magnitude;
  }
}
