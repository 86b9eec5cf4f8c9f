#include "native/cpu/kv/quantize.h"

#include <algorithm>
#include <numeric>

namespace sylvester {

KvQuantizer MakeKvQuantizer(const KvPlan& plan, int32_t layer, int32_t what) {
  const syl_kv_options& options = plan.options;
  const bool keys = what == SYL_KV_KEYS;
  const KvLayer& of = plan.layers[static_cast<size_t>(layer)];
  KvQuantizer quantizer{};
  quantizer.bits = keys ? of.keys.bits : of.values.bits;
  quantizer.grid_kind = options.grid;
  quantizer.clip_mode = options.clip_mode;
  quantizer.refine = options.grid == SYL_KV_UNIFORM ? options.refine : 0;
  quantizer.clip = plan.Clip(what, quantizer.bits);
  quantizer.grid = plan.Grid(quantizer.bits);
  quantizer.channels = plan.Channels();
  quantizer.run = plan.geometry.head_dim;
  quantizer.group = keys ? options.group_keys : options.group_values;
  if (keys && options.sort) {
    quantizer.run = quantizer.channels;
    quantizer.order.resize(of.group_of.size());
    std::iota(quantizer.order.begin(), quantizer.order.end(), uint16_t{0});
    std::stable_sort(quantizer.order.begin(), quantizer.order.end(),
                     [&](uint16_t a, uint16_t b) { return of.group_of[a] < of.group_of[b]; });
  }
  return quantizer;
}

}  // namespace sylvester
