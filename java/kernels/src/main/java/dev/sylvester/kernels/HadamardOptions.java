package dev.sylvester.kernels;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import dev.sylvester.kernels.HadamardLayout.Side;
import dev.sylvester.kernels.ffi.SylvesterFfi;
import dev.sylvester.kernels.ffi.syl_hadamard_options;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.VarHandle;
import java.util.Arrays;
import java.util.function.Consumer;

/**
 * Describes many Hadamard transforms of one length n, each
 *
 * <pre>{@code
 * z = D_0 P x;   for r = 1..rounds: z = D_r (scale H z);   y = z, or the codes of z
 * }</pre>
 *
 * where P is {@link #gather}, D_r are diagonals of {@link #signs}, and H is one of the families
 * below. Starts from {@link Hadamard#of}: one transform of floats by {@code H_n}, n a power of two,
 * orthonormal, without signs. Immutable: every method returns a changed copy. Values that do not
 * fit each other are refused when a plan is made. See {@code sylvester/hadamard.h}.
 */
public final class HadamardOptions implements Cloneable {
  /** Longest transform. */
  public static final long MAX_LENGTH = 1 << 24;

  private static final String CLASS = "HadamardOptions.";
  private static final int MAX_ROUNDS = 16;
  private static final int SIGN_BITS = 32;

  /** Which matrix of an order, where more than one is in circulation. */
  public enum Table {
    /** The library's construction. */
    DEFAULT(SylvesterFfi.SYL_HADAMARD_TABLE_DEFAULT()),
    /** Base 12 only: the matrix that QuaRot, SpinQuant and QuIP# carry. */
    QUAROT(SylvesterFfi.SYL_HADAMARD_TABLE_QUAROT());

    private final int id;

    Table(int id) {
      this.id = id;
    }
  }

  /** What becomes of z at the end. Elements of a group share a scale s and a zero. */
  public enum Quantizer {
    /** int8: {@code s = max|z| / 127, q = clamp(round(z / s), -127, 127)}. */
    I8(SylvesterFfi.SYL_HADAMARD_I8(), 8),
    /**
     * Two codes a byte, the first in the low bits: {@code zero = min z, s = (max z - zero) / 15, q
     * = clamp(round((z - zero) / s), 0, 15)}.
     */
    U4(SylvesterFfi.SYL_HADAMARD_U4(), 4),
    /** Four codes a byte, the first in the lowest bits; as U4 with 3 for 15. */
    U2(SylvesterFfi.SYL_HADAMARD_U2(), 2);

    private final int id;
    private final int bits;

    Quantizer(int id, int bits) {
      this.id = id;
      this.bits = bits;
    }

    /**
     * Size of a code.
     *
     * @return the number of bits
     */
    public int bits() {
      return bits;
    }

    /**
     * Whether groups have a zero besides the scale.
     *
     * @return false for {@link #I8}
     */
    public boolean hasZeros() {
      return this != I8;
    }
  }

  private final long n;
  private int family = SylvesterFfi.SYL_HADAMARD_SYLVESTER();
  private int base = 1;
  private Table table = Table.DEFAULT;
  private long block;
  private DType xType = DType.F32;
  private DType yType = DType.F32;
  private long xLength;
  private long[] count = {1, 1, 1};
  private long[] xStrides; // null: contiguous
  private long[] yStrides;
  private double scale;
  private int rounds = 1;
  private Quantizer quantizer;
  private long group;
  private long signRows;
  private int[] signs;
  private boolean randomSigns;
  private long seed;
  private int[] gather;
  private int[] groupMap;

  HadamardOptions(long n) {
    Args.range("Hadamard.of", "n", n, 2, MAX_LENGTH);
    this.n = n;
    this.xLength = n;
    this.group = n;
  }

  private HadamardOptions with(Consumer<HadamardOptions> change) {
    try {
      HadamardOptions copy = (HadamardOptions) clone();
      change.accept(copy);
      VarHandle.releaseFence(); // fields that never change again are safe to share, as final ones
      return copy;
    } catch (CloneNotSupportedException e) {
      throw new AssertionError(e);
    }
  }

  // ---- The matrix ----

  /**
   * {@code H = H_order (x) H_2^k} for n = order 2^k, on z seen as [order][2^k].
   *
   * @param order 1, 12, 20, 28, 36, 40, 44, 52, 60, 108, 124, 140, 156 or 172
   * @return the changed copy
   */
  public HadamardOptions base(int order) {
    return base(order, Table.DEFAULT);
  }

  /**
   * The same with a choice of the matrix.
   *
   * @param order as above
   * @param matrix which one of that order
   * @return the changed copy
   */
  public HadamardOptions base(int order, Table matrix) {
    Args.present(CLASS + "base", "matrix", matrix);
    return with(
        o -> {
          o.base = order;
          o.table = matrix;
        });
  }

  /**
   * The regular matrix of order n = 4^k, whose rows all sum to 2^k: the k-th Kronecker power of
   * {@code [1 1 1 -1; 1 1 -1 1; 1 -1 1 1; -1 1 1 1]}.
   *
   * @return the changed copy
   */
  public HadamardOptions regular() {
    return with(o -> o.family = SylvesterFfi.SYL_HADAMARD_REGULAR());
  }

  /**
   * {@code H_size} on each of n / size consecutive blocks.
   *
   * @param size a power of two, 2 or more, that divides n
   * @return the changed copy
   */
  public HadamardOptions blocks(long size) {
    return with(
        o -> {
          o.family = SylvesterFfi.SYL_HADAMARD_BLOCKS();
          o.block = size;
        });
  }

  /**
   * Any n: with w the largest power of two up to n, odd rounds transform the first w elements and
   * even rounds the last w. Wants at least two {@link #rounds}, with signs between them.
   *
   * @return the changed copy
   */
  public HadamardOptions overlapped() {
    return with(o -> o.family = SylvesterFfi.SYL_HADAMARD_OVERLAPPED());
  }

  /**
   * The factor of a round.
   *
   * @param factor finite; 0: 1 / sqrt(order of H), which makes the map orthogonal
   * @return the changed copy
   */
  public HadamardOptions scale(double factor) {
    return with(o -> o.scale = factor);
  }

  /**
   * How often signs and H are applied.
   *
   * @param times 1..16
   * @return the changed copy
   */
  public HadamardOptions rounds(int times) {
    Args.range(CLASS + "rounds", "times", times, 1, MAX_ROUNDS);
    return with(o -> o.rounds = times);
  }

  /**
   * Random signs before every round, the same for all transforms: with one round {@code y = scale H
   * D x}. Bit i of the diagonals, seen as [rounds][ceil(n / 32) * 32], is bit i % 32 of word i / 32
   * % 4 of {@code philox4x32(counter = {i / 128, 0, 0, 0}, key = {low, high half of the seed})}.
   *
   * @param value the seed
   * @return the changed copy
   */
  public HadamardOptions signs(long value) {
    return with(
        o -> {
          o.randomSigns = true;
          o.seed = value;
          o.signs = null;
          o.signRows = 1;
        });
  }

  /**
   * Signs of all diagonals.
   *
   * @param bits [rounds + 1][rows][ceil(n / 32)]: bit e % 32 of word e / 32 set means {@code D_r[e]
   *     = -1}; copied
   * @param rows at least 1; a transform with the inner index i uses row i % rows
   * @return the changed copy
   */
  public HadamardOptions signs(int[] bits, long rows) {
    int[] copyOfBits = Args.present(CLASS + "signs", "bits", bits).clone();
    Args.range(CLASS + "signs", "rows", rows, 1, Integer.MAX_VALUE);
    return with(
        o -> {
          o.randomSigns = false;
          o.signs = copyOfBits;
          o.signRows = rows;
        });
  }

  /**
   * {@code (P x)[i] = x[indices[i]]}, 0 where the index is -1.
   *
   * @param indices n of them, -1 or below length, none but -1 twice; copied
   * @param length elements of one transform in x
   * @return the changed copy
   */
  public HadamardOptions gather(int[] indices, long length) {
    int[] copyOfIndices = Args.present(CLASS + "gather", "indices", indices).clone();
    Args.range(CLASS + "gather", "length", length, 1, Integer.MAX_VALUE);
    return with(
        o -> {
          o.gather = copyOfIndices;
          o.xLength = length;
        });
  }

  // ---- The data ----

  /**
   * Element type of x and y.
   *
   * @param both F32, F64, F16 or BF16
   * @return the changed copy
   */
  public HadamardOptions type(DType both) {
    return type(both, both);
  }

  /**
   * Element types.
   *
   * @param x F32, F64, F16 or BF16
   * @param y the same; F64 if and only if x is; means nothing with a quantizer
   * @return the changed copy
   */
  public HadamardOptions type(DType x, DType y) {
    Args.present(CLASS + "type", "x", x);
    Args.present(CLASS + "type", "y", y);
    return with(
        o -> {
          o.xType = x;
          o.yType = y;
        });
  }

  /**
   * So many transforms, one after the other; with {@link Hadamard#acrossHeads} so many tokens.
   *
   * @param rows at least 1
   * @return the changed copy
   */
  public HadamardOptions rows(long rows) {
    Args.range(CLASS + "rows", "rows", rows, 1, Long.MAX_VALUE);
    return with(o -> o.count = new long[] {rows, o.count[1], o.count[2]});
  }

  /**
   * Number of transforms. Transform (outer o, middle m, inner i) has the index {@code (o middle +
   * m) inner + i}.
   *
   * @param outer at least 1
   * @param middle at least 1
   * @param inner at least 1
   * @return the changed copy
   */
  public HadamardOptions transforms(long outer, long middle, long inner) {
    String function = CLASS + "transforms";
    Args.range(function, "outer", outer, 1, Long.MAX_VALUE);
    Args.range(function, "middle", middle, 1, Long.MAX_VALUE);
    Args.range(function, "inner", inner, 1, Long.MAX_VALUE);
    return with(o -> o.count = new long[] {outer, middle, inner});
  }

  /**
   * Where elements lie, in x and in y: element e of transform (o, m, i) at {@code o outer + m
   * middle + i inner + e element}. Without strides transforms are contiguous and follow each other.
   *
   * @param outer elements from one outer index to the next, at least 0
   * @param middle the same, middle
   * @param inner the same, inner
   * @param element elements from one element of a transform to the next, at least 1
   * @return the changed copy
   */
  public HadamardOptions strides(long outer, long middle, long inner, long element) {
    return xStrides(outer, middle, inner, element).yStrides(outer, middle, inner, element);
  }

  /**
   * The same for x alone.
   *
   * @param outer elements from one outer index to the next, at least 0
   * @param middle the same, middle
   * @param inner the same, inner
   * @param element elements from one element of a transform to the next, at least 1
   * @return the changed copy
   */
  public HadamardOptions xStrides(long outer, long middle, long inner, long element) {
    long[] strides = checkedStrides("xStrides", outer, middle, inner, element);
    return with(o -> o.xStrides = strides);
  }

  /**
   * The same for y alone; its transforms must not share elements. With a quantizer it counts bytes,
   * and element must be 1.
   *
   * @param outer elements from one outer index to the next, at least 0
   * @param middle the same, middle
   * @param inner the same, inner
   * @param element elements from one element of a transform to the next, at least 1
   * @return the changed copy
   */
  public HadamardOptions yStrides(long outer, long middle, long inner, long element) {
    long[] strides = checkedStrides("yStrides", outer, middle, inner, element);
    return with(o -> o.yStrides = strides);
  }

  private static long[] checkedStrides(
      String name, long outer, long middle, long inner, long element) {
    Args.range(CLASS + name, "outer", outer, 0, Long.MAX_VALUE);
    Args.range(CLASS + name, "middle", middle, 0, Long.MAX_VALUE);
    Args.range(CLASS + name, "inner", inner, 0, Long.MAX_VALUE);
    Args.range(CLASS + name, "element", element, 1, Long.MAX_VALUE);
    return new long[] {outer, middle, inner, element};
  }

  // ---- The codes ----

  /**
   * Codes instead of floats; one scale (and zero) for a transform.
   *
   * @param value kind of the codes
   * @return the changed copy
   */
  public HadamardOptions quantizer(Quantizer value) {
    return quantizer(value, n);
  }

  /**
   * Codes instead of floats; one scale (and zero) for a group of consecutive elements.
   *
   * @param value kind of the codes
   * @param elements of a group, a divisor of n
   * @return the changed copy
   */
  public HadamardOptions quantizer(Quantizer value, long elements) {
    Args.present(CLASS + "quantizer", "value", value);
    Args.range(CLASS + "quantizer", "elements", elements, 1, n);
    return with(
        o -> {
          o.quantizer = value;
          o.group = elements;
        });
  }

  /**
   * Groups of elements that are not consecutive.
   *
   * @param groups the group of each of the n elements, every group as large as the others; copied
   * @return the changed copy
   */
  public HadamardOptions groupMap(int[] groups) {
    int[] copyOfGroups = Args.present(CLASS + "groupMap", "groups", groups).clone();
    return with(o -> o.groupMap = copyOfGroups);
  }

  // ---- The result ----

  /**
   * Makes the plan.
   *
   * @return the plan
   * @throws SylvesterException if values do not fit each other
   */
  public Hadamard build() {
    return new Hadamard(this);
  }

  /**
   * H as floats +1, -1 (and 0 outside blocks): to look at, or to fold a rotation into weights.
   * Without scale, signs and gather.
   *
   * @return [n][n], n at most 4096
   */
  public float[] matrix() {
    Args.range(CLASS + "matrix", "n", n, 2, 4096);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment h = Args.allocate(CLASS + "matrix", n * n * Float.BYTES, arena);
      SylvesterException.check(
          SylvesterFfi.syl_hadamard_matrix(family, n, base, table.id, block, h));
      return h.toArray(JAVA_FLOAT);
    }
  }

  /**
   * Length of a transform.
   *
   * @return n
   */
  public long n() {
    return n;
  }

  /**
   * Element type of x.
   *
   * @return the type
   */
  public DType xType() {
    return xType;
  }

  /**
   * Element type of y.
   *
   * @return the type; means nothing with a quantizer
   */
  public DType yType() {
    return yType;
  }

  /**
   * Kind of the codes.
   *
   * @return the quantizer, or null
   */
  public Quantizer quantizer() {
    return quantizer;
  }

  /**
   * Number of scales of a transform.
   *
   * @return 0 without a quantizer
   */
  public long groups() {
    return quantizer == null ? 0 : n / group;
  }

  /**
   * Number of transforms.
   *
   * @return outer x middle x inner
   * @throws SylvesterException (BAD_SHAPE) if that is no long
   */
  public long transforms() {
    return layout().transforms();
  }

  /**
   * Where the elements lie.
   *
   * @return the layout of x and y
   * @throws SylvesterException (BAD_SHAPE) if sizes overflow
   */
  public HadamardLayout layout() {
    Side y =
        quantizer == null
            ? side("y", yStrides, n, yType.blockBytes())
            : side("y", yStrides, Math.ceilDiv(n * quantizer.bits(), Byte.SIZE), 1);
    return new HadamardLayout(count, side("x", xStrides, xLength, xType.blockBytes()), y, groups());
  }

  private Side side(String name, long[] strides, long length, int elementBytes) {
    return new Side(
        name,
        strides == null ? HadamardLayout.contiguous(count, length) : strides,
        length,
        elementBytes);
  }

  /** Whether y may be x. */
  boolean sameLayout() {
    return quantizer == null
        && xType == yType
        && xLength == n
        && Arrays.equals(layout().x().stride(), layout().y().stride());
  }

  /**
   * The C structure {@code syl_hadamard_options}, for those who call the C functions themselves. It
   * points to arrays in the same arena.
   *
   * @param arena owns the structure
   * @return the structure
   */
  public MemorySegment toNative(Arena arena) {
    MemorySegment struct = arena.allocate(syl_hadamard_options.layout());
    syl_hadamard_options.struct_size(struct, (int) syl_hadamard_options.sizeof());
    syl_hadamard_options.family(struct, family);
    syl_hadamard_options.n(struct, n);
    syl_hadamard_options.base(struct, base);
    syl_hadamard_options.table(struct, table.id);
    syl_hadamard_options.block(struct, block);
    syl_hadamard_options.x_type(struct, xType.id());
    syl_hadamard_options.y_type(struct, yType.id());
    syl_hadamard_options.x_length(struct, xLength);
    HadamardLayout layout = layout();
    for (int i = 0; i < 3; i++) {
      syl_hadamard_options.count(struct, i, count[i]);
    }
    for (int i = 0; i < 4; i++) {
      syl_hadamard_options.x_stride(struct, i, layout.x().stride()[i]);
      syl_hadamard_options.y_stride(struct, i, layout.y().stride()[i]);
    }
    syl_hadamard_options.scale(struct, scale);
    syl_hadamard_options.rounds(struct, rounds);
    syl_hadamard_options.quantizer(
        struct, quantizer == null ? SylvesterFfi.SYL_HADAMARD_NO_QUANTIZER() : quantizer.id);
    syl_hadamard_options.group(struct, quantizer == null ? 0 : group);
    syl_hadamard_options.sign_rows(struct, signRows);
    long signWords = (rounds + 1) * signRows * Math.ceilDiv(n, SIGN_BITS);
    int[] allSigns = randomSigns ? HadamardSigns.random(n, rounds, seed) : signs;
    syl_hadamard_options.signs(struct, array(arena, "signs", allSigns, signWords));
    syl_hadamard_options.gather(struct, array(arena, "gather", gather, n));
    syl_hadamard_options.group_map(struct, array(arena, "groupMap", groupMap, n));
    return struct;
  }

  private static MemorySegment array(Arena arena, String name, int[] values, long length) {
    if (values == null) {
      return MemorySegment.NULL;
    }
    if (values.length != length) {
      throw new SylvesterException(
          Status.BAD_SHAPE, CLASS + name + ": has " + values.length + " ints, must be " + length);
    }
    return arena.allocateFrom(JAVA_INT, values);
  }
}
