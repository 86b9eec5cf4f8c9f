package dev.sylvester.runner.text;

import static org.assertj.core.api.Assertions.assertThat;

import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.Arrays;
import java.util.List;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;

class TokenStreamTest {
  private static final Tokenizer BYTES = TokenizerGolden.fromGguf("smollm");
  private static final Tokenizer PIECES = TokenizerGolden.fromGguf("spm");
  // The first byte token <0x00> of the SentencePiece vocabulary.
  private static final int FIRST_BYTE = PIECES.encode("\u0000", false)[1];

  private static int[] ints(List<Integer> values) {
    return values.stream().mapToInt(value -> value).toArray();
  }

  private static String streamed(Tokenizer tokenizer, int[] ids) {
    TokenStream stream = tokenizer.stream();
    StringBuilder text = new StringBuilder();
    for (int id : ids) {
      String piece = stream.add(id);
      assertThat(piece.isEmpty() || !Character.isHighSurrogate(piece.charAt(piece.length() - 1)))
          .isTrue();
      text.append(piece);
    }
    return text.append(stream.finish()).toString();
  }

  @Property(seed = "7")
  void piecesAreTheDecodedText(@ForAll @Size(max = 60) List<@IntRange(max = 641) Integer> tokens) {
    int[] ids = ints(tokens);
    assertThat(streamed(BYTES, ids)).isEqualTo(BYTES.decode(ids, true));
    assertThat(streamed(PIECES, ids)).isEqualTo(PIECES.decode(ids, true));
  }

  /** The library's own decoder, which has the whole sequence, is the reference. */
  @Property(seed = "7")
  void byteLevelPiecesAreWhatTheLibraryDecodes(
      @ForAll @Size(max = 60) List<@IntRange(max = 641) Integer> tokens) {
    int[] ids = ints(tokens);
    assertThat(streamed(BYTES, ids)).isEqualTo(Native.decode(ids));
  }

  /** Byte tokens are the bytes of the text, whatever they are. */
  @Property(seed = "7")
  void byteTokensAreTheirBytes(@ForAll @Size(max = 12) byte[] bytes) {
    for (int i = 0; i < bytes.length; i++) {
      // Java counts the bytes of an encoded surrogate as one error, everyone else as three.
      bytes[i] = bytes[i] == (byte) 0xED ? (byte) 0xEC : bytes[i];
    }
    int[] ids = new int[bytes.length + 1];
    ids[0] = PIECES.encode("a", false)[0];
    for (int i = 0; i < bytes.length; i++) {
      ids[i + 1] = FIRST_BYTE + Byte.toUnsignedInt(bytes[i]);
    }
    String prefix = PIECES.decode(Arrays.copyOf(ids, 1), true);
    assertThat(streamed(PIECES, ids)).isEqualTo(prefix + new String(bytes, StandardCharsets.UTF_8));
  }

  @Property(seed = "7")
  void textComesBackWithoutReplacement(@ForAll String text) {
    String wellFormed = text.replaceAll("[\\p{Cs}\ufffd]", "?");
    for (Tokenizer tokenizer : new Tokenizer[] {BYTES, PIECES}) {
      TokenStream stream = tokenizer.stream();
      StringBuilder out = new StringBuilder();
      for (int id : tokenizer.encode(wellFormed, false)) {
        assertThat(out.append(stream.add(id)).toString()).doesNotContain("\ufffd");
      }
      assertThat(out.append(stream.finish())).hasToString(wellFormed);
    }
  }

  @Example
  void charactersWaitForTheirLastByte() {
    TokenStream stream = BYTES.stream();
    int[] ids = BYTES.encode("\ud83e\udd5d", false);
    assertThat(ids).hasSizeGreaterThan(1);
    for (int i = 0; i < ids.length - 1; i++) {
      assertThat(stream.add(ids[i])).isEmpty();
    }
    assertThat(stream.add(ids[ids.length - 1])).isEqualTo("\ud83e\udd5d");
    stream.add(ids[0]);
    assertThat(stream.finish()).isEqualTo("\ufffd");
    assertThat(stream.finish()).isEmpty();
    assertThat(stream.add(BYTES.encode("x", false)[0])).isEqualTo("x");
  }

  @Example
  void continuationKeepsTheSpaceThatATextDrops() {
    int[] ids = PIECES.encode("the end", false);
    assertThat(PIECES.decode(ids, true)).isEqualTo("the end");
    TokenStream continuation = PIECES.continuation();
    StringBuilder text = new StringBuilder();
    for (int id : ids) {
      text.append(continuation.add(id));
    }
    assertThat(text).hasToString(" the end");
  }

  private static final class Native {
    private static final long HANDLE;

    static {
      try {
        HANDLE =
            TokenizersBinding.get()
                .createTokenizerFromString(
                    Files.readString(TokenizerGolden.FOLDER.resolve("smollm.tokenizer.json")));
      } catch (IOException e) {
        throw new AssertionError(e);
      }
    }

    static String decode(int[] ids) {
      TokenizersLibrary library = TokenizersBinding.get();
      return library.decode(HANDLE, Arrays.stream(ids).asLongStream().toArray(), true);
    }
  }
}
