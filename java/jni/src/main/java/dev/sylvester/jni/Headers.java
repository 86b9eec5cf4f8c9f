package dev.sylvester.jni;

import org.bytedeco.javacpp.annotation.NoException;
import org.bytedeco.javacpp.annotation.Platform;
import org.bytedeco.javacpp.annotation.Properties;
import org.bytedeco.javacpp.tools.Info;
import org.bytedeco.javacpp.tools.InfoMap;
import org.bytedeco.javacpp.tools.InfoMapper;

/**
 * What JavaCPP generates {@link sylvester} from. A new family joins by the line of its header; a
 * header comes after those that it includes.
 */
@Properties(
    target = "dev.sylvester.jni",
    global = "dev.sylvester.jni.sylvester",
    value =
        @Platform(
            link = "sylvester",
            include = {
              "sylvester/common.h", //
              "sylvester/logits.h",
              "sylvester/dlm.h",
              "sylvester/nn.h",
              "sylvester/hadamard.h",
              "sylvester/kron.h",
              "sylvester/kv.h",
              "sylvester/spec.h",
            }))
@NoException
public class Headers implements InfoMapper {
  @Override
  public void map(InfoMap infoMap) {
    // An attribute, not a part of the types.
    infoMap.put(new Info("SYL_API").cppTypes().annotations());
    // Pointers to const pointers would have no setter.
    infoMap.put(
        new Info("syl_kv_batch::sequence")
            .javaText(
                "public native @Cast(\"syl_kv_sequence*const*\") PointerPointer sequence();"
                    + " public native syl_kv_batch sequence(PointerPointer setter);"));
    infoMap.put(
        new Info("syl_kron_segments::packed")
            .javaText(
                "public native @Cast(\"const void*const*\") PointerPointer packed();"
                    + " public native syl_kron_segments packed(PointerPointer setter);"));
  }
}
