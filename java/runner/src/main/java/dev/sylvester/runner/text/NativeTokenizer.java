package dev.sylvester.runner.text;

import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;

/**
 * Hugging Face's tokenizers library, through DJL's native binding alone: the classes above it would
 * load an engine and know of a network. Any number of threads may encode.
 */
final class NativeTokenizer implements AutoCloseable {
  private final ReadWriteLock lock = new ReentrantReadWriteLock();
  private long handle;

  /**
   * @param json as tokenizer.json
   * @throws RuntimeException if the library refuses it
   */
  NativeTokenizer(String json) {
    TokenizersLibrary library = TokenizersBinding.get();
    handle = library.createTokenizerFromString(json);
    library.disablePadding(handle);
    library.disableTruncation(handle);
  }

  int[] encode(String text, boolean addSpecial) {
    lock.readLock().lock();
    try {
      if (handle == 0) {
        throw new IllegalStateException("the tokenizer is closed");
      }
      TokenizersLibrary library = TokenizersBinding.get();
      long encoding = library.encode(handle, wellFormed(text), addSpecial);
      try {
        long[] ids = library.getTokenIds(encoding);
        int[] narrow = new int[ids.length];
        for (int i = 0; i < ids.length; i++) {
          narrow[i] = (int) ids[i];
        }
        return narrow;
      } finally {
        library.deleteEncoding(encoding);
      }
    } finally {
      lock.readLock().unlock();
    }
  }

  @Override
  public void close() {
    lock.writeLock().lock();
    try {
      if (handle != 0) {
        TokenizersBinding.get().deleteTokenizer(handle);
        handle = 0;
      }
    } finally {
      lock.writeLock().unlock();
    }
  }

  /** The text with U+FFFD for lone surrogates: one would garble every other character natively. */
  private static String wellFormed(String text) {
    for (int i = 0; i < text.length(); ) {
      int c = text.codePointAt(i);
      if (c >= Character.MIN_SURROGATE && c <= Character.MAX_SURROGATE) {
        return text.codePoints()
            .map(p -> p >= Character.MIN_SURROGATE && p <= Character.MAX_SURROGATE ? 0xFFFD : p)
            .collect(StringBuilder::new, StringBuilder::appendCodePoint, StringBuilder::append)
            .toString();
      }
      i += Character.charCount(c);
    }
    return text;
  }
}
