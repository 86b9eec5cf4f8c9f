#include <sylvester/kv.h>

#include <cstring>

#include "native/common/status.h"

namespace {

// What presets share: two bits, no rotation, no window, groups of 128 of the whole range.
syl_kv_options Plain() {
  syl_kv_options o = {};
  o.struct_size = sizeof(o);
  o.bits_keys = o.bits_values = 2;
  o.group_keys = o.group_values = 128;
  o.clip_keys = o.clip_values = 1;
  return o;
}

syl_kv_options RotateKv(int32_t bits) {
  syl_kv_options o = Plain();
  o.rope = SYL_KV_PRE_ROPE;
  o.rotate_keys = SYL_KV_ROTATE_GROUP;
  o.rotate_values = SYL_KV_ROTATE_HEAD;
  o.sort = 1;
  o.integer_zero = 1;
  o.max_sinks = 20;
  if (bits == 0 || bits == 2) o.clip_keys = o.clip_values = 0.8f;
  return o;
}

syl_kv_options QuaRot() {
  syl_kv_options o = Plain();
  o.rotate_keys = o.rotate_values = SYL_KV_ROTATE_HEAD;
  o.integer_zero = 1;
  o.clip_keys = o.clip_values = 0.95f;
  return o;
}

syl_kv_options Turbo() {
  syl_kv_options o = Plain();
  o.rotate_keys = o.rotate_values = SYL_KV_ROTATE_HEAD;
  o.grid = SYL_KV_LLOYD_MAX;
  o.group_keys = o.group_values = 256;
  return o;
}

syl_kv_options Blocks(int32_t bits) {
  syl_kv_options o = Plain();
  o.bits_keys = o.bits_values = bits;
  o.group_keys = o.group_values = 32;
  return o;
}

syl_kv_options Best(int32_t bits) {
  syl_kv_options o = Plain();
  o.rotate_keys = o.rotate_values = SYL_KV_ROTATE_HEAD;
  o.center = SYL_KV_CENTER_KEYS;
  o.balance = 1;
  o.clip_mode = SYL_KV_CLIP_MIDPOINT;
  // Two bits leave room for layer_bits that give the keys of half of the layers three: 2.5 bits a number in all.
  const bool two = bits == 0 || bits == 2;
  o.group_keys = o.group_values = two ? 64 : 32;
  o.clip_keys = o.clip_values = two ? 0.8f : 1;
  o.first_tokens = 4;
  o.window = 32;
  return o;
}

}  // namespace

syl_status syl_kv_preset(const char* name, int32_t bits, syl_kv_options* options) {
  SYL_REQUIRE_PTR(name);
  SYL_REQUIRE_STRUCT(options);
  SYL_REQUIRE(bits == 0 || bits == 2 || bits == 3 || bits == 4 || bits == 8, SYL_BAD_VALUE,
              "bits is %d, must be 0, 2, 3, 4 or 8", bits);
  const auto is = [&](const char* preset) { return std::strcmp(name, preset) == 0; };
  syl_kv_options made;
  if (is("rotatekv")) {
    made = RotateKv(bits);
  } else if (is("quarot")) {
    made = QuaRot();
  } else if (is("turbo")) {
    SYL_REQUIRE(bits != 8, SYL_BAD_VALUE, "bits is %d, must be 0, 2, 3 or 4 for turbo", bits);
    made = Turbo();
  } else if (is("q8")) {
    made = Blocks(8);
  } else if (is("q4")) {
    made = Blocks(4);
  } else if (is("best")) {
    made = Best(bits);
  } else {
    return sylvester::Fail(SYL_BAD_VALUE, "%s: name is \"%.40s\", must be rotatekv, quarot, turbo, q8, q4 or best",
                           __func__, name);
  }
  if (bits != 0) made.bits_keys = made.bits_values = bits;
  *options = made;
  return SYL_OK;
}
