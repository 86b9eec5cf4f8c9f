package dev.sylvester.runner.text.jinja;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import java.time.Clock;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What a template must not do; what it does right is held to transformers in ChatTemplateTest. */
class TemplateTest {
  private static String render(String source) {
    return Template.parse(source).render(Map.of("text", "abc"), Clock.systemUTC());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{{ text.__class__.__mro__ }}",
        "{{ text.getClass() }}",
        "{{ text.class.forName('java.lang.Runtime') }}",
        "{{ namespace.__init__.__globals__ }}",
        "{% include 'other' %}",
        "{% import 'other' as other %}",
        "{{ text.format(1) }}",
        "{{ messages.append(1) }}",
        "{{ open('/etc/passwd') }}",
        "{{ nothing.at.all }}",
        "{{ nothing() }}",
        "{{ text() }}",
        "{{ text + 1 }}",
        "{{ 1 / 0 }}",
        "{{ 9223372036854775807 + 1 }}",
        "{{ text | unknown }}",
        "{{ text is unknown }}",
        "{{ 'a' < 1 }}",
        "{{ range }}",
        "{{ [1, 2",
        "{{ 'open }}",
        "{{ text",
        "{% if text %}",
        "{% for x in text %}{% endif %}",
        "{% endif %}",
        "{% set 1 = 2 %}",
        "{% set text.a = 2 %}",
        "{# open",
        "{% raw %} open",
        "{{ '\\u12' }}",
        "{{ 99999999999999999999 }}",
        "{{ text ! 1 }}",
        "{{ text[::0] }}",
        "{{ strftime_now('%Q') }}",
        "{{ range(1000000) }}",
        "{{ 'a' * 1000000000 }}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% set ns = namespace(s='aaaaaaaa') %}"
            + "{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
      })
  void failsWithOneLine(String source) {
    assertThatExceptionOfType(TemplateException.class)
        .isThrownBy(() -> render(source))
        .satisfies(
            e -> {
              assertThat(e.getMessage().lines()).hasSize(1);
              assertThat(e.getMessage()).matches("line \\d+: .+");
            });
  }

  @Test
  void failsOnNestingThatFillsTheStack() {
    for (String nested :
        new String[] {
          "{{ " + "(".repeat(100_000) + "1" + ")".repeat(100_000) + " }}",
          "{{ " + "not ".repeat(100_000) + "1 }}",
          "{% if 1 %}".repeat(100_000) + "{% endif %}".repeat(100_000),
          "{{ 1" + " + 1".repeat(200_000) + " }}",
        }) {
      assertThatExceptionOfType(TemplateException.class).isThrownBy(() -> render(nested));
    }
  }
}
