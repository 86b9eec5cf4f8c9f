package dev.sylvester.kernels;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import dev.sylvester.kernels.ffi.SylvesterFfi;
import dev.sylvester.kernels.ffi.syl_kv_options;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/**
 * How a cache quantises. Start with a {@linkplain #preset preset}:
 *
 * <pre>{@code
 * KvOptions options = KvOptions.preset("best", 2).withWindow(64);
 * }</pre>
 *
 * <p>{@code sylvester/kv.h} says what exactly each option does.
 *
 * @param preRope whether keys are appended as they are before rotary positions
 * @param keys how keys are coded
 * @param values how values are coded
 * @param headGroup neighbouring heads that {@link KvCoding.Rotation#GROUP} mixes, dividing the
 *     heads; 0: the largest of 4, 3, 2, 1 that does
 * @param sort whether groups of keys are of channels with neighbouring means; preRope only, needs a
 *     calibration
 * @param balance whether channels of keys are scaled, and those of queries against them, so that
 *     errors of scores are least; after rotary positions only, needs a calibration with queries
 * @param quantizer how groups of numbers become codes
 * @param firstTokens the first tokens, kept as halves, 0..64
 * @param maxSinks most further tokens that append may be told to keep as halves, per layer, 0..64
 * @param window recent tokens kept as halves, a multiple of 16, 0..256
 * @param layerBits empty, or for each layer its bits instead of those of keys and values
 */
public record KvOptions(
    boolean preRope,
    KvCoding keys,
    KvCoding values,
    int headGroup,
    boolean sort,
    boolean balance,
    KvQuantizer quantizer,
    int firstTokens,
    int maxSinks,
    int window,
    List<LayerBits> layerBits) {

  /** Names of the presets. */
  public static final List<String> PRESETS =
      List.of("best", "rotatekv", "quarot", "turbo", "q8", "q4");

  /**
   * Bits of one layer.
   *
   * @param keys 2, 3, 4 or 8
   * @param values 2, 3, 4 or 8
   */
  public record LayerBits(int keys, int values) {}

  /** Refuses null and keeps a copy of the list. */
  public KvOptions {
    Args.present("KvOptions", "keys", keys);
    Args.present("KvOptions", "values", values);
    Args.present("KvOptions", "quantizer", quantizer);
    layerBits = List.copyOf(Args.present("KvOptions", "layerBits", layerBits));
  }

  /**
   * The options of a preset with its own number of bits.
   *
   * @param name one of {@link #PRESETS}
   * @return the options
   */
  public static KvOptions preset(String name) {
    return preset(name, 0);
  }

  /**
   * The options of a preset.
   *
   * @param name one of {@link #PRESETS}
   * @param bits of keys and values; 0: the preset's own
   * @return the options
   */
  public static KvOptions preset(String name, int bits) {
    Args.present("KvOptions.preset", "name", name);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment struct = blank(arena);
      SylvesterException.check(SylvesterFfi.syl_kv_preset(arena.allocateFrom(name), bits, struct));
      return of(struct, List.of());
    }
  }

  /**
   * With keys appended before or after rotary positions.
   *
   * @param value true: before
   * @return the changed copy
   */
  public KvOptions withPreRope(boolean value) {
    return new KvOptions(
        value,
        keys,
        values,
        headGroup,
        sort,
        balance,
        quantizer,
        firstTokens,
        maxSinks,
        window,
        layerBits);
  }

  /**
   * With another coding of keys.
   *
   * @param value how keys are coded
   * @return the changed copy
   */
  public KvOptions withKeys(KvCoding value) {
    return new KvOptions(
        preRope,
        value,
        values,
        headGroup,
        sort,
        balance,
        quantizer,
        firstTokens,
        maxSinks,
        window,
        layerBits);
  }

  /**
   * With another coding of values.
   *
   * @param value how values are coded
   * @return the changed copy
   */
  public KvOptions withValues(KvCoding value) {
    return new KvOptions(
        preRope,
        keys,
        value,
        headGroup,
        sort,
        balance,
        quantizer,
        firstTokens,
        maxSinks,
        window,
        layerBits);
  }

  /**
   * With other bits in all layers.
   *
   * @param ofKeys 2, 3, 4 or 8
   * @param ofValues 2, 3, 4 or 8
   * @return the changed copy
   */
  public KvOptions withBits(int ofKeys, int ofValues) {
    return withKeys(keys.withBits(ofKeys))
        .withValues(values.withBits(ofValues))
        .withLayerBits(List.of());
  }

  /**
   * With other groups of keys and values.
   *
   * @param value a multiple of 16
   * @return the changed copy
   */
  public KvOptions withGroup(int value) {
    return withKeys(keys.withGroup(value)).withValues(values.withGroup(value));
  }

  /**
   * With another number of heads that {@link KvCoding.Rotation#GROUP} mixes.
   *
   * @param value dividing the heads; 0: the largest of 4, 3, 2, 1 that does
   * @return the changed copy
   */
  public KvOptions withHeadGroup(int value) {
    return new KvOptions(
        preRope,
        keys,
        values,
        value,
        sort,
        balance,
        quantizer,
        firstTokens,
        maxSinks,
        window,
        layerBits);
  }

  /**
   * With or without sorted channels of keys.
   *
   * @param value whether groups are of channels with neighbouring means
   * @return the changed copy
   */
  public KvOptions withSort(boolean value) {
    return new KvOptions(
        preRope,
        keys,
        values,
        headGroup,
        value,
        balance,
        quantizer,
        firstTokens,
        maxSinks,
        window,
        layerBits);
  }

  /**
   * With or without balanced channels of keys.
   *
   * @param value whether keys are scaled, and queries against them
   * @return the changed copy
   */
  public KvOptions withBalance(boolean value) {
    return new KvOptions(
        preRope,
        keys,
        values,
        headGroup,
        sort,
        value,
        quantizer,
        firstTokens,
        maxSinks,
        window,
        layerBits);
  }

  /**
   * With another quantizer.
   *
   * @param value how groups of numbers become codes
   * @return the changed copy
   */
  public KvOptions withQuantizer(KvQuantizer value) {
    return new KvOptions(
        preRope,
        keys,
        values,
        headGroup,
        sort,
        balance,
        value,
        firstTokens,
        maxSinks,
        window,
        layerBits);
  }

  /**
   * With other tokens kept as halves for good.
   *
   * @param first the first tokens, 0..64
   * @param further most that append may be told of, per layer, 0..64
   * @return the changed copy
   */
  public KvOptions withSinks(int first, int further) {
    return new KvOptions(
        preRope, keys, values, headGroup, sort, balance, quantizer, first, further, window,
        layerBits);
  }

  /**
   * With another recent window.
   *
   * @param value tokens kept as halves, a multiple of 16, 0..256
   * @return the changed copy
   */
  public KvOptions withWindow(int value) {
    return new KvOptions(
        preRope,
        keys,
        values,
        headGroup,
        sort,
        balance,
        quantizer,
        firstTokens,
        maxSinks,
        value,
        layerBits);
  }

  /**
   * With bits for each layer.
   *
   * @param value empty, or as many as layers
   * @return the changed copy
   */
  public KvOptions withLayerBits(List<LayerBits> value) {
    return new KvOptions(
        preRope,
        keys,
        values,
        headGroup,
        sort,
        balance,
        quantizer,
        firstTokens,
        maxSinks,
        window,
        value);
  }

  /**
   * Whether plans need a calibration.
   *
   * @return true for sorted, centred or balanced channels
   */
  public boolean needsCalibration() {
    return sort || balance || keys.centered() || values.centered();
  }

  static MemorySegment blank(Arena arena) {
    MemorySegment struct = arena.allocate(syl_kv_options.layout());
    syl_kv_options.struct_size(struct, (int) syl_kv_options.sizeof());
    return struct;
  }

  static KvOptions of(MemorySegment struct, List<LayerBits> layerBits) {
    int center = syl_kv_options.center(struct);
    return new KvOptions(
        syl_kv_options.rope(struct) == SylvesterFfi.SYL_KV_PRE_ROPE(),
        new KvCoding(
            KvCoding.Rotation.of(syl_kv_options.rotate_keys(struct)),
            (center & SylvesterFfi.SYL_KV_CENTER_KEYS()) != 0,
            syl_kv_options.bits_keys(struct),
            syl_kv_options.group_keys(struct),
            syl_kv_options.clip_keys(struct)),
        new KvCoding(
            KvCoding.Rotation.of(syl_kv_options.rotate_values(struct)),
            (center & SylvesterFfi.SYL_KV_CENTER_VALUES()) != 0,
            syl_kv_options.bits_values(struct),
            syl_kv_options.group_values(struct),
            syl_kv_options.clip_values(struct)),
        syl_kv_options.head_group(struct),
        syl_kv_options.sort(struct) != 0,
        syl_kv_options.balance(struct) != 0,
        new KvQuantizer(
            KvQuantizer.Grid.of(syl_kv_options.grid(struct)),
            KvQuantizer.ClipMode.of(syl_kv_options.clip_mode(struct)),
            syl_kv_options.integer_zero(struct) != 0),
        syl_kv_options.first_tokens(struct),
        syl_kv_options.max_sinks(struct),
        syl_kv_options.window(struct),
        layerBits);
  }

  /** Options that belong to a plan, which keeps the bits of its layers. */
  @SuppressWarnings("restricted")
  static KvOptions ofPlan(MemorySegment struct, int layers) {
    MemorySegment bits = syl_kv_options.layer_bits(struct);
    if (bits.address() == 0) {
      return of(struct, List.of());
    }
    MemorySegment bytes = bits.reinterpret(2L * layers);
    List<LayerBits> layerBits = new ArrayList<>();
    for (int layer = 0; layer < layers; layer++) {
      layerBits.add(
          new LayerBits(bytes.get(JAVA_BYTE, 2L * layer), bytes.get(JAVA_BYTE, 2L * layer + 1)));
    }
    return of(struct, layerBits);
  }

  MemorySegment toNative(String function, int layers, Arena arena) {
    MemorySegment struct = blank(arena);
    syl_kv_options.rope(
        struct, preRope ? SylvesterFfi.SYL_KV_PRE_ROPE() : SylvesterFfi.SYL_KV_POST_ROPE());
    syl_kv_options.rotate_keys(struct, keys.rotation().code());
    syl_kv_options.rotate_values(struct, values.rotation().code());
    syl_kv_options.head_group(struct, headGroup);
    syl_kv_options.sort(struct, sort ? 1 : 0);
    syl_kv_options.center(
        struct,
        (keys.centered() ? SylvesterFfi.SYL_KV_CENTER_KEYS() : 0)
            + (values.centered() ? SylvesterFfi.SYL_KV_CENTER_VALUES() : 0));
    syl_kv_options.grid(struct, quantizer.grid().code());
    syl_kv_options.clip_mode(struct, quantizer.clipMode().code());
    syl_kv_options.integer_zero(struct, quantizer.integerZero() ? 1 : 0);
    syl_kv_options.balance(struct, balance ? 1 : 0);
    syl_kv_options.bits_keys(struct, keys.bits());
    syl_kv_options.bits_values(struct, values.bits());
    syl_kv_options.group_keys(struct, keys.group());
    syl_kv_options.group_values(struct, values.group());
    syl_kv_options.clip_keys(struct, keys.clip());
    syl_kv_options.clip_values(struct, values.clip());
    syl_kv_options.first_tokens(struct, firstTokens);
    syl_kv_options.max_sinks(struct, maxSinks);
    syl_kv_options.window(struct, window);
    syl_kv_options.layer_bits(struct, layerBits(function, layers, arena));
    return struct;
  }

  private MemorySegment layerBits(String function, int layers, Arena arena) {
    if (layerBits.isEmpty()) {
      return MemorySegment.NULL;
    }
    if (layerBits.size() != layers) {
      throw new SylvesterException(
          Status.BAD_SHAPE,
          function + ": layerBits has " + layerBits.size() + " values for " + layers + " layers");
    }
    MemorySegment bytes = arena.allocate(2L * layers);
    for (int layer = 0; layer < layers; layer++) {
      LayerBits bits = layerBits.get(layer);
      Args.range(function, "layerBits.keys", bits.keys, 2, 8);
      Args.range(function, "layerBits.values", bits.values, 2, 8);
      bytes.set(JAVA_BYTE, 2L * layer, (byte) bits.keys);
      bytes.set(JAVA_BYTE, 2L * layer + 1, (byte) bits.values);
    }
    return bytes;
  }
}
