package dev.sylvester.kernels;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import dev.sylvester.kernels.ffi.syl_logits_options;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/**
 * What {@link LogitsStats} makes of logits as it reads them: {@code z = u + (guidance + 1) (logit -
 * u)} with unconditional logits u, the probabilities {@code softmax(z / temperature)}, and a token
 * drawn from {@code softmax(z / drawTemperature)}. Starts with floats, temperature 1, no filter, no
 * draw. Its memory belongs to an arena; it may be changed between calls. See {@code
 * sylvester/logits.h}.
 */
public final class LogitsOptions {
  final MemorySegment struct;
  private final Arena arena;
  private DType type = DType.F32;

  private LogitsOptions(Arena arena) {
    this.arena = arena;
    this.struct = arena.allocate(syl_logits_options.layout());
    syl_logits_options.struct_size(struct, (int) syl_logits_options.sizeof());
    syl_logits_options.temperature(struct, 1);
    syl_logits_options.top_p(struct, 1);
  }

  /**
   * Options as described above.
   *
   * @param arena owns the memory
   * @return the options
   */
  public static LogitsOptions allocate(Arena arena) {
    return new LogitsOptions(arena);
  }

  /**
   * Type of the logits.
   *
   * @param value F32, F16 or BF16
   * @return this
   */
  public LogitsOptions type(DType value) {
    type = Args.present("LogitsOptions.type", "value", value);
    syl_logits_options.type(struct, value.id());
    return this;
  }

  /**
   * Type of the logits.
   *
   * @return the type
   */
  public DType type() {
    return type;
  }

  /**
   * Strength of classifier-free guidance (Ho and Salimans, arXiv 2207.12598).
   *
   * @param value finite; counts only with unconditional logits
   * @return this
   */
  public LogitsOptions guidance(float value) {
    syl_logits_options.guidance(struct, value);
    return this;
  }

  /**
   * Temperature of the probabilities.
   *
   * @param value more than 0
   * @return this
   */
  public LogitsOptions temperature(float value) {
    syl_logits_options.temperature(struct, value);
    return this;
  }

  /**
   * Temperature of the draw.
   *
   * @param value at least 0; 0: the token is the argmax
   * @return this
   */
  public LogitsOptions drawTemperature(float value) {
    syl_logits_options.draw_temperature(struct, value);
    return this;
  }

  /**
   * Keeps the most probable tokens; those with equal logits stay or go together.
   *
   * @param value how many, at least 0; 0: all
   * @return this
   */
  public LogitsOptions topK(int value) {
    syl_logits_options.top_k(struct, value);
    return this;
  }

  /**
   * Keeps the most probable tokens until their probability at {@link #temperature} reaches a share;
   * those with equal logits stay or go together (Holtzman et al., arXiv 1904.09751).
   *
   * @param value above 0, at most 1; 1: all
   * @return this
   */
  public LogitsOptions topP(float value) {
    syl_logits_options.top_p(struct, value);
    return this;
  }

  /**
   * Seed of the draw's random numbers; together with step and stream it fixes a draw.
   *
   * @param value any
   * @return this
   */
  public LogitsOptions seed(long value) {
    syl_logits_options.seed(struct, value);
    return this;
  }

  /**
   * Step of the decoding: draws of different steps are independent.
   *
   * @param value not negative
   * @return this
   */
  public LogitsOptions step(int value) {
    syl_logits_options.step(struct, value);
    return this;
  }

  /**
   * Tokens that are never argmax, second or drawn, but keep their probability.
   *
   * @param ids in any order; none: no token is banned
   * @return this
   */
  public LogitsOptions banned(int... ids) {
    int[] sorted = Arrays.stream(ids).sorted().distinct().toArray();
    syl_logits_options.banned(struct, arena.allocateFrom(JAVA_INT, sorted));
    syl_logits_options.banned_count(struct, sorted.length);
    return this;
  }

  /**
   * Tokens that have no probability, but may be argmax or drawn.
   *
   * @param ids in any order; none: all count
   * @return this
   */
  public LogitsOptions ignored(int... ids) {
    int[] sorted = Arrays.stream(ids).sorted().distinct().toArray();
    syl_logits_options.ignored(struct, arena.allocateFrom(JAVA_INT, sorted));
    syl_logits_options.ignored_count(struct, sorted.length);
    return this;
  }

  /**
   * The C structure {@code syl_logits_options}, for those who call the C functions themselves.
   *
   * @return the structure, which the methods above change
   */
  public MemorySegment toNative() {
    return struct;
  }
}
