package dev.sylvester.kernels.ffi;

import static org.assertj.core.api.Assertions.assertThat;

import dev.sylvester.kernels.ffi.Header.Field;
import dev.sylvester.kernels.ffi.Header.Function;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.GroupLayout;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SequenceLayout;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;

/** The checked-in bindings are those of the headers; run {@code generate-ffi} when this fails. */
public abstract class BindingsContract {
  private static final Map<String, Class<?>> CARRIERS =
      Map.ofEntries(
          Map.entry("pointer", MemorySegment.class),
          Map.entry("syl_status", int.class),
          Map.entry("syl_dtype", int.class),
          Map.entry("syl_spec_mode", int.class),
          Map.entry("syl_draft_kind", int.class),
          Map.entry("syl_cuda_stream", MemorySegment.class),
          Map.entry("syl_cuda_event", MemorySegment.class),
          Map.entry("char", byte.class),
          Map.entry("int32_t", int.class),
          Map.entry("uint32_t", int.class),
          Map.entry("int64_t", long.class),
          Map.entry("uint64_t", long.class),
          Map.entry("float", float.class),
          Map.entry("double", double.class));
  private static final Map<Class<?>, Integer> SIZES =
      Map.of(
          byte.class,
          1,
          int.class,
          4,
          long.class,
          8,
          float.class,
          4,
          double.class,
          8,
          MemorySegment.class,
          8);

  private final Header header;
  private final Class<?> bindings;
  private final SymbolLookup library;

  protected BindingsContract(Header header, Class<?> bindings, SymbolLookup library) {
    this.header = header;
    this.bindings = bindings;
    this.library = library;
  }

  @Test
  void everyFunctionHasItsDescriptor() throws ReflectiveOperationException {
    for (Function function : header.functions()) {
      FunctionDescriptor descriptor =
          (FunctionDescriptor) bindings.getMethod(function.name() + "$descriptor").invoke(null);
      assertThat(descriptor.argumentLayouts().stream().map(BindingsContract::carrier).toList())
          .as("parameters of %s", function)
          .isEqualTo(function.parameters().stream().map(CARRIERS::get).toList());
      assertThat(descriptor.returnLayout().map(BindingsContract::carrier).orElse(null))
          .as("result of %s", function)
          .isEqualTo(CARRIERS.get(function.result()));
    }
  }

  @Test
  void everyFunctionIsInTheLibrary() {
    for (Function function : header.functions()) {
      assertThat(library.find(function.name())).as(function.name()).isPresent();
    }
  }

  @Test
  void everyStructHasItsLayout() throws ReflectiveOperationException {
    for (Map.Entry<String, List<Field>> struct : header.structs().entrySet()) {
      GroupLayout layout =
          (GroupLayout)
              Class.forName(bindings.getPackageName() + "." + struct.getKey())
                  .getMethod("layout")
                  .invoke(null);
      long offset = 0;
      long alignment = 1;
      for (Field field : struct.getValue()) {
        Class<?> carrier = CARRIERS.get(field.type());
        int size = SIZES.get(carrier);
        offset = Math.ceilDiv(offset, size) * size;
        PathElement path = PathElement.groupElement(field.name());
        assertThat(layout.byteOffset(path)).as("%s %s", struct.getKey(), field).isEqualTo(offset);
        assertThat(carrier(layout.select(path)))
            .as("%s %s", struct.getKey(), field)
            .isEqualTo(carrier);
        assertThat(layout.select(path).byteSize())
            .as("%s %s", struct.getKey(), field)
            .isEqualTo((long) size * field.count());
        offset += (long) size * field.count();
        alignment = Math.max(alignment, size);
      }
      assertThat(layout.byteSize())
          .as(struct.getKey())
          .isEqualTo(Math.ceilDiv(offset, alignment) * alignment);
    }
  }

  @Test
  void everyConstantHasItsValue() throws ReflectiveOperationException {
    for (Map.Entry<String, Integer> constant : header.constants().entrySet()) {
      assertThat(bindings.getMethod(constant.getKey()).invoke(null))
          .as(constant.getKey())
          .isEqualTo(constant.getValue());
    }
  }

  @Test
  void nothingIsLeftFromOlderHeaders() {
    List<String> expected = new ArrayList<>(header.constants().keySet());
    header.functions().forEach(function -> expected.add(function.name()));
    List<String> generated = new ArrayList<>();
    for (Method method : bindings.getDeclaredMethods()) {
      if (Modifier.isPublic(method.getModifiers()) && !method.getName().contains("$")) {
        generated.add(method.getName());
      }
    }
    assertThat(new TreeSet<>(generated)).isEqualTo(new TreeSet<>(expected));
  }

  private static Class<?> carrier(MemoryLayout layout) {
    return layout instanceof SequenceLayout array
        ? carrier(array.elementLayout())
        : ((ValueLayout) layout).carrier();
  }
}
