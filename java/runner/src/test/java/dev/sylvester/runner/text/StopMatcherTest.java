package dev.sylvester.runner.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import java.util.List;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.From;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.constraints.Size;

class StopMatcherTest {
  @Example
  void holdsBackWhatMayBeginAStopString() {
    StopMatcher stops = new StopMatcher(List.of("\nUser:", "</s>"));
    assertThat(stops.add("Hello")).isEqualTo("Hello");
    assertThat(stops.add(" there\n")).isEqualTo(" there");
    assertThat(stops.add("U")).isEmpty();
    assertThat(stops.add("nited")).isEqualTo("\nUnited");
    assertThat(stops.add("\nUs")).isEmpty();
    assertThat(stops.match()).isEmpty();
    assertThat(stops.add("er: hi")).isEmpty();
    assertThat(stops.match()).contains("\nUser:");
    assertThat(stops.add("more")).isEmpty();
    assertThat(stops.finish()).isEmpty();
  }

  @Example
  void handsOutWhatWasHeldWhenNoMoreComes() {
    StopMatcher stops = new StopMatcher(List.of("END"));
    assertThat(stops.add("the EN")).isEqualTo("the ");
    assertThat(stops.finish()).isEqualTo("EN");
  }

  @Example
  void theStopStringThatEndsFirstWinsThenTheLongest() {
    StopMatcher stops = new StopMatcher(List.of("abcd", "bc"));
    assertThat(stops.add("xabcd")).isEqualTo("xa");
    assertThat(stops.match()).contains("bc");
    stops = new StopMatcher(List.of("c", "bc", "zc"));
    assertThat(stops.add("abcd")).isEqualTo("a");
    assertThat(stops.match()).contains("bc");
  }

  @Example
  void withoutStopStringsNothingWaits() {
    assertThat(new StopMatcher(List.of()).add("abc")).isEqualTo("abc");
    assertThatIllegalArgumentException().isThrownBy(() -> new StopMatcher(List.of("a", "")));
  }

  @Provide
  Arbitrary<String> fewLetters() {
    return Arbitraries.strings().withChars('a', 'b').ofMinLength(1).ofMaxLength(6);
  }

  /** Against a search in the whole text. */
  @Property(seed = "7")
  void findsWhatASearchInTheWholeTextFinds(
      @ForAll @Size(max = 12) List<@From("fewLetters") String> pieces,
      @ForAll @Size(min = 1, max = 3) List<@From("fewLetters") String> stops) {
    String whole = String.join("", pieces);
    String expected = whole;
    String match = null;
    int end = Integer.MAX_VALUE;
    for (String stop : stops) {
      int at = whole.indexOf(stop);
      int stopEnd = at + stop.length();
      if (at >= 0 && (stopEnd < end || (stopEnd == end && stop.length() > match.length()))) {
        end = stopEnd;
        match = stop;
        expected = whole.substring(0, at);
      }
    }
    StopMatcher matcher = new StopMatcher(stops);
    StringBuilder out = new StringBuilder();
    for (String piece : pieces) {
      out.append(matcher.add(piece));
      // What was handed out never has to be taken back.
      assertThat(expected).startsWith(out);
    }
    assertThat(out.append(matcher.finish())).hasToString(expected);
    assertThat(matcher.match().orElse(null)).isEqualTo(match);
  }
}
