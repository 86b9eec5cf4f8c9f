package dev.sylvester.runner.format;

import dev.sylvester.kernels.DType;
import dev.sylvester.kernels.KronFactors;
import dev.sylvester.kernels.KronShape;
import dev.sylvester.runner.format.AdapterFolder.Module;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

/** Sums of Kronecker products in one safetensors file, which its metadata calls sylvester-kron. */
final class KronFile {
  private static final String FORMAT = "sylvester-kron";
  private static final String VERSION = "1";
  private static final String U = ".kron_u";
  private static final String V = ".kron_v";

  private KronFile() {}

  static void write(Path path, Map<String, KronFactors> modules) throws IOException {
    Map<String, SafetensorsFile.Floats> tensors = new LinkedHashMap<>();
    modules.forEach(
        (name, factors) -> {
          KronShape s = factors.shape();
          long terms = factors.terms();
          tensors.put(
              name + U, new SafetensorsFile.Floats(new long[] {terms, s.m(), s.n()}, factors.u()));
          tensors.put(
              name + V, new SafetensorsFile.Floats(new long[] {terms, s.p(), s.q()}, factors.v()));
        });
    SafetensorsFile.write(path, tensors, Map.of("format", FORMAT, "version", VERSION));
  }

  static Map<String, Module> read(Path path, SafetensorsFile file, Arena arena) {
    String format = file.metadata().getOrDefault("format", "");
    String version = file.metadata().getOrDefault("version", "");
    if (!format.equals(FORMAT) || !version.equals(VERSION)) {
      throw new ModelFormatException(
          path,
          "its format is %s, version %s, expected %s, version %s"
              .formatted(
                  ModelFormatException.quote(format),
                  ModelFormatException.quote(version),
                  FORMAT,
                  VERSION));
    }
    Map<String, Module> modules = new LinkedHashMap<>();
    for (String name : file.tensors().keySet()) {
      if (name.endsWith(U)) {
        String module = name.substring(0, name.length() - U.length());
        modules.put(module, module(path, file.tensors(), module, arena));
      } else if (!name.endsWith(V)) {
        throw error(path, name, "is no part of " + FORMAT);
      } else if (!file.tensors().containsKey(name.substring(0, name.length() - V.length()) + U)) {
        throw error(path, name, "lacks its " + U);
      }
    }
    if (modules.isEmpty()) {
      throw new ModelFormatException(path, "has no tensors");
    }
    return modules;
  }

  private static Module module(Path path, Map<String, Tensor> tensors, String name, Arena arena) {
    Tensor u = tensors.get(name + U);
    Tensor v = tensors.get(name + V);
    if (v == null) {
      throw error(path, name + U, "lacks its " + V);
    }
    for (Tensor tensor : new Tensor[] {u, v}) {
      if (tensor.shape().length != 3 || tensor.elements() == 0) {
        throw tensor.error(
            "shape " + Tensor.shapeText(tensor.shape()) + ", expected terms, rows, columns");
      }
    }
    long[] left = u.shape();
    long[] right = v.shape();
    v.require(left[0], right[1], right[2]);
    KronShape shape = new KronShape(left[1], left[2], right[1], right[2]);
    return Module.of(
        KronFactors.of(DType.F32, left[0], shape, u.finiteFloats(arena), v.finiteFloats(arena)), 1);
  }

  private static ModelFormatException error(Path path, String tensor, String problem) {
    return new ModelFormatException(
        path, "tensor " + ModelFormatException.quote(tensor) + " " + problem);
  }
}
