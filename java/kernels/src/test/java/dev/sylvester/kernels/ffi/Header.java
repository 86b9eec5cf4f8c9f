package dev.sylvester.kernels.ffi;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** A reader of the project's own headers, just good enough for their style. */
public record Header(
    List<Function> functions, Map<String, List<Field>> structs, Map<String, Integer> constants) {

  /** Types are "pointer" or a C scalar type. */
  public record Function(String name, String result, List<String> parameters) {}

  /** An array of count elements; 1 for a scalar. */
  public record Field(String name, String type, int count) {}

  private static final Pattern FUNCTION =
      Pattern.compile("SYL_API\\s+([\\w\\s*]*?)(\\w+)\\(([^)]*)\\);");
  private static final Pattern STRUCT = Pattern.compile("typedef struct (\\w+) \\{([^}]*)\\} \\1;");
  private static final Pattern ARRAY = Pattern.compile("(\\w+)\\[(\\d+)\\]");
  private static final Pattern ENUM = Pattern.compile("enum \\{([^}]*)\\};");
  private static final Pattern DEFINE = Pattern.compile("#define (SYL_\\w+) (\\d+)");

  /** The headers of this name. */
  public static Header read(Predicate<String> name) {
    Path folder = Path.of(System.getProperty("sylvester.root"), "native/include/sylvester");
    Header header = new Header(new ArrayList<>(), new LinkedHashMap<>(), new LinkedHashMap<>());
    try (Stream<Path> files = Files.list(folder)) {
      for (Path file : (Iterable<Path>) files.sorted()::iterator) {
        if (name.test(file.getFileName().toString())) {
          header.parse(Files.readString(file).replaceAll("(?s)/\\*.*?\\*/", " "));
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return header;
  }

  private void parse(String text) {
    for (Matcher m = FUNCTION.matcher(text); m.find(); ) {
      List<String> parameters = new ArrayList<>();
      for (String parameter :
          m.group(3).strip().equals("void") ? new String[0] : m.group(3).split(",")) {
        parameters.add(typeOf(parameter));
      }
      functions.add(new Function(m.group(2), scalar(m.group(1)), parameters));
    }
    for (Matcher m = STRUCT.matcher(text); m.find(); ) {
      List<Field> fields = new ArrayList<>();
      // A pointer to pointers is a pointer.
      String body = m.group(2).replaceAll("\\bconst\\b", " ").replaceAll("(\\*\\s*)+", "* ");
      for (String declaration : body.strip().split(";\\s*")) {
        String[] names = declaration.strip().split("(?<=\\*)\\s*|\\s+", 2);
        for (String name : names[1].split(",")) {
          Matcher array = ARRAY.matcher(name.strip());
          fields.add(
              array.matches()
                  ? new Field(array.group(1), scalar(names[0]), Integer.parseInt(array.group(2)))
                  : new Field(name.strip(), scalar(names[0]), 1));
        }
      }
      structs.put(m.group(1), fields);
    }
    for (Matcher m = ENUM.matcher(text); m.find(); ) {
      for (String constant : m.group(1).split(",")) {
        String[] parts = constant.split("=");
        constants.put(parts[0].strip(), Integer.decode(parts[1].strip()));
      }
    }
    for (Matcher m = DEFINE.matcher(text); m.find(); ) {
      constants.put(m.group(1), Integer.decode(m.group(2)));
    }
  }

  private static String typeOf(String parameter) {
    String text = parameter.strip();
    return text.endsWith("]")
        ? "pointer"
        : scalar(text.substring(0, text.length() - lastWord(text)));
  }

  private static int lastWord(String text) {
    Matcher m = Pattern.compile("\\w+$").matcher(text);
    return m.find() ? m.group().length() : 0;
  }

  private static String scalar(String type) {
    return type.contains("*") ? "pointer" : type.replace("const", "").strip();
  }
}
