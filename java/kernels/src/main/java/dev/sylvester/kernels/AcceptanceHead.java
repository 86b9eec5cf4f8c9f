package dev.sylvester.kernels;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.sylvester.kernels.ffi.SylvesterFfi;
import dev.sylvester.kernels.ffi.syl_spec_head;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * SpecDec++'s acceptance head (arXiv 2405.19715): predicts from a draft's last hidden state whether
 * the candidate that it has just read is accepted. Its memory belongs to the arena it was made in.
 * Immutable and thread-safe.
 *
 * <p>Residual blocks {@code x + SiLU(W x + b)}, a linear layer with two outputs z, then {@code
 * P(accept) = sigmoid((z_1 - z_0 + shift) scale)}.
 */
public final class AcceptanceHead {
  private final Shape shape;
  private final float shift;
  private final float scale;
  private final MemorySegment parameters;
  private final MemorySegment descriptor;
  private final long rowWorkspace;

  /**
   * What a head is made of.
   *
   * @param width of hidden states, 1..65536
   * @param blocks residual blocks, 0..64
   * @param tied whether all blocks are the same one
   */
  public record Shape(int width, int blocks, boolean tied) {
    /**
     * Number of floats of the parameters.
     *
     * @return the number
     */
    public long parameters() {
      try (Arena arena = Arena.ofConfined()) {
        MemorySegment count = arena.allocate(JAVA_LONG);
        MemorySegment head = toNative(MemorySegment.NULL, 0, 1, arena);
        SylvesterException.check(SylvesterFfi.syl_spec_head_parameters(head, count));
        return count.get(JAVA_LONG, 0);
      }
    }

    MemorySegment toNative(MemorySegment parameters, float shift, float scale, Arena arena) {
      MemorySegment struct = arena.allocate(syl_spec_head.layout());
      syl_spec_head.struct_size(struct, (int) syl_spec_head.sizeof());
      syl_spec_head.width(struct, width);
      syl_spec_head.blocks(struct, blocks);
      syl_spec_head.tied(
          struct, tied ? SylvesterFfi.SYL_TIED_BLOCKS() : SylvesterFfi.SYL_UNTIED_BLOCKS());
      syl_spec_head.shift(struct, shift);
      syl_spec_head.scale(struct, scale);
      syl_spec_head.parameters(struct, parameters);
      return struct;
    }
  }

  private AcceptanceHead(
      Shape shape, float shift, float scale, MemorySegment parameters, Arena arena) {
    this.shape = shape;
    this.shift = shift;
    this.scale = scale;
    this.parameters = parameters.asReadOnly();
    this.descriptor = shape.toNative(parameters, shift, scale, arena);
    MemorySegment bytes = arena.allocate(JAVA_LONG);
    SylvesterException.check(SylvesterFfi.syl_spec_head_workspace(descriptor, 1, bytes));
    this.rowWorkspace = bytes.get(JAVA_LONG, 0);
  }

  /**
   * A head.
   *
   * @param shape what it is made of
   * @param parameters floats as {@code sylvester/spec.h} lays them out; copied
   * @param shift added to the logit; {@code log(w_rej / w_acc)} undoes the weights of training
   * @param scale factor on the shifted logit, more than 0
   * @param arena owns the memory
   * @return the head
   */
  public static AcceptanceHead of(
      Shape shape, MemorySegment parameters, float shift, float scale, Arena arena) {
    String function = "AcceptanceHead.of";
    Args.present(function, "shape", shape);
    long bytes = Args.product(function, "parameters", shape.parameters(), Float.BYTES);
    Args.readable(function, "parameters", parameters, bytes);
    MemorySegment copy = Args.copy(function, parameters.asSlice(0, bytes), arena);
    return new AcceptanceHead(shape, shift, scale, copy, arena);
  }

  /**
   * The same parameters with another calibration.
   *
   * @param newShift added to the logit
   * @param newScale factor on the shifted logit, more than 0
   * @param arena owns the new head's memory
   * @return the head
   */
  public AcceptanceHead calibrated(float newShift, float newScale, Arena arena) {
    return of(shape, parameters, newShift, newScale, arena);
  }

  /**
   * What it is made of.
   *
   * @return the shape
   */
  public Shape shape() {
    return shape;
  }

  /**
   * What is added to the logit.
   *
   * @return the shift
   */
  public float shift() {
    return shift;
  }

  /**
   * The factor on the shifted logit.
   *
   * @return the scale
   */
  public float scale() {
    return scale;
  }

  /**
   * The parameters, as {@code sylvester/spec.h} lays them out.
   *
   * @return floats that cannot be written
   */
  public MemorySegment parameters() {
    return parameters;
  }

  /**
   * The prediction for one hidden state.
   *
   * @param hidden width floats
   * @param workspace scratch memory
   * @param pool threads, or null
   * @return the probability of acceptance; NaN when the hidden state gives none
   */
  public float accept(MemorySegment hidden, Workspace workspace, ThreadPool pool) {
    Args.input("AcceptanceHead.accept", "hidden", hidden, 4L * shape.width);
    workspace.begin();
    try {
      MemorySegment scratch = workspace.sized(rowWorkspace);
      SylvesterException.check(
          SylvesterFfi.syl_spec_head_f32(
              descriptor,
              hidden,
              shape.width,
              1,
              workspace.results,
              scratch,
              scratch.byteSize(),
              ThreadPool.handle(pool)));
      return workspace.results.get(JAVA_FLOAT, 0);
    } finally {
      workspace.end();
    }
  }

  /**
   * The predictions for several hidden states.
   *
   * @param hidden rows of width floats
   * @param stride from row to row, at least width
   * @param rows number of rows
   * @param acceptance gets a probability for each row; NaN where the hidden state gives none
   * @param workspace scratch memory
   * @param pool threads, or null
   */
  public void accept(
      MemorySegment hidden,
      long stride,
      long rows,
      MemorySegment acceptance,
      Workspace workspace,
      ThreadPool pool) {
    String function = "AcceptanceHead.accept";
    Args.input(
        function, "hidden", hidden, Args.floats(function, "hidden", rows, shape.width, stride));
    Args.output(function, "acceptance", acceptance, Args.product(function, "acceptance", rows, 4));
    workspace.begin();
    try {
      SylvesterException.check(
          SylvesterFfi.syl_spec_head_workspace(descriptor, rows, workspace.results));
      MemorySegment scratch = workspace.sized();
      SylvesterException.check(
          SylvesterFfi.syl_spec_head_f32(
              descriptor,
              hidden,
              stride,
              rows,
              acceptance,
              scratch,
              scratch.byteSize(),
              ThreadPool.handle(pool)));
    } finally {
      workspace.end();
    }
  }
}
