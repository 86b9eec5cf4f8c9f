package dev.sylvester.runner.text.jinja;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Clock;
import java.util.Map;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;

/** Templates put together from pieces of templates. */
class TemplateFuzzTest {
  @Provide
  Arbitrary<String> sources() {
    return Arbitraries.of(
            "{{", "}}", "{%", "%}", "{#", "#}", "-", "+", "if", "else", "elif", "endif", "for",
            "in", "endfor", "set", "=", "==", "text", "x", ".", "[", "]", "(", ")", "{", "}", ":",
            ",", "|", "trim", "is", "not", "defined", "'a'", "1", "2.5", "\\", "\n", " ", "raw",
            "endraw", "macro", "loop", "~", "*", "//", "and", "tojson", "map", "\u2028", "😀")
        .list()
        .ofMaxSize(25)
        .map(parts -> String.join(" ", parts));
  }

  @Property(tries = 20_000, seed = "7")
  void anythingEitherRendersOrFailsAsATemplate(@ForAll("sources") String source) {
    try {
      Template.parse(source).render(Map.of("text", "abc"), Clock.systemUTC());
    } catch (TemplateException e) {
      assertThat(e.getMessage().lines()).hasSize(1);
    }
  }
}
