package dev.sylvester.runner;

import dev.sylvester.kernels.KvOptions;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/**
 * How keys and values are kept.
 *
 * @param name {@code f16} or {@code f32}, floats; one of {@link KvOptions#PRESETS}, packed; {@code
 *     auto}, the preset {@code best} with as many bits in each layer as the model turns out to need
 * @param bits of a number of a preset, 2, 3, 4 or 8; 0 means the preset's own
 * @param plan file of a plan, which then says everything; or null
 */
public record CacheOptions(String name, int bits, Path plan) {
  /** Floats of 16 bits. */
  public static final CacheOptions F16 = of("f16");

  /** Floats of 32 bits. */
  public static final CacheOptions F32 = of("f32");

  /** Bits that are chosen for each layer. */
  public static final CacheOptions AUTO = of("auto");

  /** All names. */
  public static List<String> names() {
    List<String> names = new ArrayList<>(List.of("f16", "f32"));
    names.addAll(KvOptions.PRESETS);
    names.add("auto");
    return names;
  }

  /** Checks the values. */
  public CacheOptions {
    Objects.requireNonNull(name, "name");
    if (plan == null && !names().contains(name)) {
      throw new IllegalArgumentException(
          "cache is '%s', must be one of %s".formatted(name, String.join(", ", names())));
    }
    if (bits != 0 && (bits < 2 || bits > 8 || bits > 4 && bits < 8)) {
      throw new IllegalArgumentException("cache bits is %d, must be 2, 3, 4 or 8".formatted(bits));
    }
    if (bits != 0 && (plan != null || !KvOptions.PRESETS.contains(name))) {
      throw new IllegalArgumentException(
          "cache bits are those of a preset; %s has its own".formatted(name));
    }
  }

  /** A kind of cache, of a preset with its own number of bits. */
  public static CacheOptions of(String name) {
    return new CacheOptions(name, 0, null);
  }

  /** A preset with other bits. */
  public CacheOptions withBits(int bits) {
    return new CacheOptions(name, bits, plan);
  }

  /** What a file says that {@link Model#calibrate} made. */
  public static CacheOptions ofPlan(Path file) {
    return new CacheOptions("plan", 0, file);
  }

  /** Whether elements are floats. */
  public boolean floats() {
    return plan == null && (name.equals("f16") || name.equals("f32"));
  }

  /**
   * What the preset means.
   *
   * @throws IllegalArgumentException when this is none
   */
  public KvOptions preset() {
    if (plan != null || !KvOptions.PRESETS.contains(name)) {
      throw new IllegalArgumentException(
          "cache is '%s', must be one of %s".formatted(name, String.join(", ", KvOptions.PRESETS)));
    }
    return KvOptions.preset(name, bits);
  }

  /** Whether it needs a plan that was calibrated on the model. */
  public boolean needsCalibration() {
    return preset().needsCalibration();
  }

  /** Whether a calibration also chooses layers that get more bits. */
  boolean mixesBits() {
    return name.equals("best") && (bits == 0 || bits == 2);
  }

  /** For people and files: the name, and the bits if they were chosen. */
  @Override
  public String toString() {
    return bits == 0 ? name : name + "-" + bits;
  }
}
