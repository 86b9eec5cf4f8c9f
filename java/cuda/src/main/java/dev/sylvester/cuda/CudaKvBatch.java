package dev.sylvester.cuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import dev.sylvester.cuda.ffi.syl_cuda_kv_batch;
import dev.sylvester.kernels.Status;
import dev.sylvester.kernels.SylvesterException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Some sequences of a {@link CudaKvPlan}'s cache whose tokens are appended and attended to by one
 * call: in keys, values and queries the rows of a sequence stand behind those of the sequence
 * before it. The pages are the caller's, the tables that name them are checked here and brought to
 * the device. {@link #begin}, {@link #add} for each sequence, {@link #upload}; then it serves all
 * layers of a step. Nothing is allocated after it is made. Not for two threads at once.
 *
 * <p>A sequence is made shorter by a smaller length, as far as its ring goes back.
 */
public final class CudaKvBatch implements AutoCloseable {
  private static final int MOST_SEQUENCES = 65_535;
  private static final int MOST_ROWS = 65_536; // of a sequence
  private static final int MOST_TOKENS = 1 << 30;
  private static final int MOST_PAGE_TILES = 256;

  private final CudaKvPlan plan;
  private final DeviceMemory pages;
  private final int pageTiles;
  private final long tilesOfPages;
  private final int maxSequences;
  private final int maxTiles;
  private final long lengthsAt; // in ints, behind the row starts
  private final long slotsAt;
  private final long tilesAt;
  private final MemorySegment tables;
  private final DeviceMemory deviceTables;

  private int sequences;
  private int rows;
  private int maxRows;
  private int maxTokens;
  private int slots;
  private boolean uploaded;

  private CudaKvBatch(
      CudaKvPlan plan, DeviceMemory pages, int pageTiles, int maxSequences, int maxTiles) {
    this.plan = plan;
    this.pages = pages;
    this.pageTiles = pageTiles;
    this.maxSequences = maxSequences;
    this.maxTiles = maxTiles;
    tilesOfPages = pages.byteSize() / (pageTiles * plan.info().tileBytes()) * pageTiles;
    lengthsAt = maxSequences + 1L;
    slotsAt = lengthsAt + maxSequences;
    tilesAt = slotsAt + maxSequences;
    long bytes = (tilesAt + (long) maxSequences * maxTiles) * Integer.BYTES;
    deviceTables = DeviceMemory.allocate(plan.device(), bytes);
    tables = Arena.ofAuto().allocate(bytes, Integer.BYTES);
  }

  /**
   * A batch.
   *
   * @param plan how the cache is quantised
   * @param pages of pageTiles {@link dev.sylvester.kernels.KvPlan.Info#tileBytes} bytes each,
   *     64-byte aligned, filled with 0 once before their first use
   * @param pageTiles tiles of a page, 1..256
   * @param maxSequences most sequences of a batch, 1..65535
   * @param maxTiles most tiles of a sequence, at least 1
   * @return the batch, without sequences
   */
  public static CudaKvBatch allocate(
      CudaKvPlan plan, DeviceMemory pages, int pageTiles, int maxSequences, int maxTiles) {
    String function = "CudaKvBatch.allocate";
    Args.present(function, "plan", plan);
    Args.range(function, "pageTiles", pageTiles, 1, MOST_PAGE_TILES);
    Args.range(function, "maxSequences", maxSequences, 1, MOST_SEQUENCES);
    Args.range(function, "maxTiles", maxTiles, 1, MOST_TOKENS);
    try (CudaCall call = new CudaCall(function, plan.device())) {
      call.memory("pages", pages, 0);
    }
    return new CudaKvBatch(plan, pages, pageTiles, maxSequences, maxTiles);
  }

  /** Forgets all sequences. */
  public void begin() {
    uploaded = false;
    sequences = 0;
    rows = 0;
    maxRows = 0;
    maxTokens = 0;
    slots = 0;
  }

  /**
   * Adds a sequence.
   *
   * @param newRows its rows in a call: its last tokens, 0..65536
   * @param length its tokens, the rows included, up to 2^30
   * @param slot where its ring and sinks are; 0 where the plan keeps no halves
   * @param tiles tile {@code page * pageTiles + place} of each 16 tokens, at least {@link
   *     CudaKvPlan#packedTiles} of the length; further ones count for nothing
   */
  public void add(int newRows, int length, int slot, int... tiles) {
    String function = "CudaKvBatch.add";
    Args.range(function, "sequences", sequences + 1L, 1, maxSequences);
    Args.range(function, "length", length, 0, MOST_TOKENS);
    Args.range(function, "newRows", newRows, 0, Math.min(length, MOST_ROWS));
    Args.range(function, "rows of all sequences", (long) rows + newRows, 0, Integer.MAX_VALUE);
    Args.range(function, "slot", slot, 0, Integer.MAX_VALUE - 1);
    long needed = plan.packedTiles(length);
    if (Args.present(function, "tiles", tiles).length < needed || maxTiles < needed) {
      throw new SylvesterException(
          Status.BAD_SHAPE,
          function
              + ": tiles has "
              + tiles.length
              + " numbers and the batch room for "
              + maxTiles
              + ", "
              + length
              + " tokens need "
              + needed);
    }
    uploaded = false;
    for (int t = 0; t < needed; t++) {
      int tile = tiles[t];
      Args.range(function, "tiles[" + t + "]", tile, 0, tilesOfPages - 1);
      tables.setAtIndex(JAVA_INT, tilesAt + (long) sequences * maxTiles + t, tile);
    }
    tables.setAtIndex(JAVA_INT, lengthsAt + sequences, length);
    tables.setAtIndex(JAVA_INT, slotsAt + sequences, slot);
    sequences++;
    rows += newRows;
    tables.setAtIndex(JAVA_INT, sequences, rows);
    maxRows = Math.max(maxRows, newRows);
    maxTokens = Math.max(maxTokens, length);
    slots = Math.max(slots, slot + 1);
  }

  /**
   * Copies the tables to the device, after what the stream holds, and waits for it.
   *
   * @param stream of the calls that follow; null for the default stream
   */
  public void upload(CudaStream stream) {
    String function = "CudaKvBatch.upload";
    try (CudaCall call = new CudaCall(function, plan.device())) {
      call.range("sequences", sequences, 1, maxSequences);
      call.stream(stream);
      long bytes = (tilesAt + (long) sequences * maxTiles) * Integer.BYTES;
      deviceTables.copyFrom(tables.asSlice(0, bytes), stream);
      uploaded = true;
    }
  }

  /**
   * Rows of all sequences.
   *
   * @return the number
   */
  public int rows() {
    return rows;
  }

  int sequences() {
    return sequences;
  }

  CudaKvPlan plan() {
    return plan;
  }

  /** One more than the largest slot. */
  int slots() {
    return slots;
  }

  /** The structure, whose memory stays open until the call ends. */
  MemorySegment describe(CudaCall call) {
    if (!uploaded) {
      throw new IllegalStateException("CudaKvBatch was not uploaded");
    }
    MemorySegment table = call.memory("batch", deviceTables, 0);
    MemorySegment struct = call.scratch.allocate(syl_cuda_kv_batch.layout());
    syl_cuda_kv_batch.struct_size(struct, (int) syl_cuda_kv_batch.sizeof());
    syl_cuda_kv_batch.sequences(struct, sequences);
    syl_cuda_kv_batch.max_rows(struct, Math.max(1, maxRows));
    syl_cuda_kv_batch.max_tokens(struct, Math.max(1, maxTokens));
    syl_cuda_kv_batch.row_starts(struct, table);
    syl_cuda_kv_batch.lengths(struct, table.asSlice(lengthsAt * Integer.BYTES));
    syl_cuda_kv_batch.slots(struct, table.asSlice(slotsAt * Integer.BYTES));
    syl_cuda_kv_batch.tiles(struct, table.asSlice(tilesAt * Integer.BYTES));
    syl_cuda_kv_batch.tiles_stride(struct, maxTiles);
    syl_cuda_kv_batch.arena(struct, call.memory("pages", pages, 0));
    syl_cuda_kv_batch.page_tiles(struct, pageTiles);
    return struct;
  }

  /**
   * Frees the tables; the device first ends the work that was enqueued. A second call does nothing.
   *
   * @throws IllegalStateException if a call on another thread is using it
   */
  @Override
  public void close() {
    deviceTables.close();
  }
}
