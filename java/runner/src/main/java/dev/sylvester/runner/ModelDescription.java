package dev.sylvester.runner;

import java.util.Map;

/**
 * What a model is, for people and for {@code info --json}.
 *
 * @param architecture llama, mistral, qwen2, qwen3, dream or llada
 * @param path its file or folder
 * @param parameters number of weights
 * @param tensorTypes how many tensors have each element type
 * @param bytes size of the files
 * @param context tokens a session holds
 * @param modelContext longest context the model was made for
 * @param cacheBytesPerToken keys and values of one token
 */
public record ModelDescription(
    String architecture,
    String path,
    long parameters,
    Map<String, Long> tensorTypes,
    long bytes,
    int context,
    int modelContext,
    long cacheBytesPerToken) {}
