package dev.sylvester.runner.format;

import java.nio.file.Path;
import java.util.List;
import java.util.Set;

/**
 * What a decoder layer stack needs to know, the same for GGUF metadata and for config.json.
 *
 * @param architecture llama, mistral, qwen2, qwen3, dream or llada; for display
 * @param layers decoder layers
 * @param hiddenSize width of the residual stream
 * @param heads query heads
 * @param kvHeads key and value heads; divides heads
 * @param headDim size of each head; even
 * @param intermediateSize width of the gated feed-forward layer
 * @param vocabSize rows of the embedding
 * @param contextLength longest context the model was made for
 * @param rmsNormEps added under the root of every norm
 * @param rope rotary positions
 * @param tiedEmbeddings the output matrix is the embedding
 * @param attentionBias q_proj, k_proj and v_proj have biases
 * @param outputBias o_proj has a bias
 * @param mlpBias gate_proj, up_proj and down_proj have biases
 * @param qkNorm q_norm and k_norm act on each head before rotation
 * @param slidingWindows one entry for each layer: tokens a query sees, itself included; 0 means all
 * @param bidirectional every token sees every token
 * @param shiftedLogits a masked position p is predicted by row p - 1 (Dream)
 * @param bosId begin-of-sequence token, or -1
 * @param eosIds tokens that end a text; may be empty
 * @param maskId mask token of a diffusion model, or -1
 */
public record ModelConfig(
    String architecture,
    int layers,
    int hiddenSize,
    int heads,
    int kvHeads,
    int headDim,
    int intermediateSize,
    int vocabSize,
    int contextLength,
    double rmsNormEps,
    RopeConfig rope,
    boolean tiedEmbeddings,
    boolean attentionBias,
    boolean outputBias,
    boolean mlpBias,
    boolean qkNorm,
    List<Integer> slidingWindows,
    boolean bidirectional,
    boolean shiftedLogits,
    int bosId,
    Set<Integer> eosIds,
    int maskId) {

  // Far above any real model, low enough that products of them fit a long.
  static final int MOST_LAYERS = 1 << 12;
  static final int MOST_WIDTH = 1 << 20;
  static final int MOST_HEADS = 1 << 12;
  static final int MOST_HEAD_DIM = 1 << 10;
  static final int MOST_VOCAB = 1 << 24;
  static final int MOST_CONTEXT = 1 << 30;

  /** This, after checks of values against each other that hold for every architecture. */
  ModelConfig checked(Path file) {
    if (heads % kvHeads != 0) {
      throw new ModelFormatException(
          file, heads + " query heads are not a multiple of " + kvHeads + " key and value heads");
    }
    if (headDim % 2 != 0) {
      throw new ModelFormatException(file, "head dimension " + headDim + " is odd");
    }
    if (rope.dims() % 2 != 0 || rope.dims() < 2 || rope.dims() > headDim) {
      throw new ModelFormatException(
          file, rope.dims() + " rotated dimensions do not fit head dimension " + headDim);
    }
    return this;
  }

  /**
   * Rows of a layer's weights are in another order than transformers': files with interleaved
   * rotary pairs reorder queries and keys.
   */
  public boolean reordersRows(String layer) {
    return rope.interleaved() && (layer.endsWith(".q_proj") || layer.endsWith(".k_proj"));
  }

  /** Where transformers has this row of such a layer. */
  public long rowInTransformers(long row) {
    long inHead = row % headDim;
    return row - inHead + inHead % 2 * (headDim / 2) + inHead / 2;
  }
}
