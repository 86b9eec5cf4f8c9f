package dev.sylvester.jni;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.reflect.Method;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.annotation.Properties;
import org.junit.jupiter.api.Test;

/** All that the headers declare has been generated, and nothing else. */
class GeneratedMethodsTest {
  private static final Path INCLUDE =
      Path.of(System.getProperty("sylvester.root"), "native/include");
  private static final Pattern INCLUDES = Pattern.compile("#include <(sylvester/\\w+\\.h)>");
  private static final Pattern FUNCTION =
      Pattern.compile("SYL_API\\s+([\\w\\s*]*?)(\\w+)\\(([^)]*)\\);");
  private static final Pattern STRUCT =
      Pattern.compile("typedef struct (\\w+) (?:\\{([^}]*)\\} )?\\1;");
  private static final Pattern FIELD = Pattern.compile("(\\w+)(?:\\[\\d+\\])?\\s*[,;]");

  private final List<String> headers = find(read("sylvester/sylvester.h"), INCLUDES, 1);
  private final String text =
      headers.stream().map(GeneratedMethodsTest::read).collect(Collectors.joining());

  @Test
  void everyHeaderIsParsed() {
    String[] parsed = Headers.class.getAnnotation(Properties.class).value()[0].include();
    assertThat(headers).hasSizeGreaterThanOrEqualTo(4);
    assertThat(parsed).containsExactlyInAnyOrderElementsOf(headers);
  }

  @Test
  void everyFunctionHasItsMethods() {
    List<MatchResult> functions = FUNCTION.matcher(text).results().collect(Collectors.toList());
    assertThat(functions).hasSizeGreaterThan(35);
    for (MatchResult function : functions) {
      List<Method> methods = methods(function.group(2));
      assertThat(methods).as(function.group()).isNotEmpty();
      for (Method method : methods) {
        assertThat(method.getParameterCount())
            .as("%s", method)
            .isEqualTo(
                function.group(3).strip().equals("void") ? 0 : function.group(3).split(",").length);
      }
    }
    Set<String> generated = new TreeSet<>();
    for (Method method : sylvester.class.getDeclaredMethods()) {
      generated.add(method.getName());
    }
    assertThat(generated).containsExactlyInAnyOrderElementsOf(find(text, FUNCTION, 2));
  }

  @Test
  void everyStructHasItsClassAndFields() throws ReflectiveOperationException {
    List<MatchResult> structs = STRUCT.matcher(text).results().collect(Collectors.toList());
    assertThat(structs).hasSizeGreaterThanOrEqualTo(8);
    for (MatchResult struct : structs) {
      Class<?> type = Class.forName("dev.sylvester.jni." + struct.group(1));
      assertThat(type).isAssignableTo(Pointer.class);
      if (struct.group(2) != null) {
        for (String field : find(struct.group(2), FIELD, 1)) {
          // Pointer has a capacity of its own.
          String method = field.equals("capacity") ? "_capacity" : field;
          assertThat(type.getDeclaredMethods())
              .extracting(Method::getName)
              .as("%s", type)
              .contains(method);
          assertThat(type.getDeclaredMethods())
              .as("setter of %s", field)
              .anyMatch(m -> m.getName().equals(method) && m.getReturnType() == type);
        }
      }
    }
  }

  @Test
  void arraysBuffersAndPointersAreAccepted() throws ReflectiveOperationException {
    List<String> kinds = new ArrayList<>();
    for (Method method : methods("syl_hadamard_f32")) {
      kinds.add(method.getParameterTypes()[0].getSimpleName());
    }
    assertThat(kinds).containsExactlyInAnyOrder("FloatPointer", "FloatBuffer", "float[]");
  }

  private static List<Method> methods(String name) {
    return Arrays.stream(sylvester.class.getDeclaredMethods())
        .filter(method -> method.getName().equals(name))
        .collect(Collectors.toList());
  }

  private static List<String> find(String text, Pattern pattern, int group) {
    return pattern.matcher(text).results().map(m -> m.group(group)).collect(Collectors.toList());
  }

  /** A header without its comments. */
  private static String read(String header) {
    try {
      return Files.readString(INCLUDE.resolve(header)).replaceAll("(?s)/\\*.*?\\*/", " ");
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
