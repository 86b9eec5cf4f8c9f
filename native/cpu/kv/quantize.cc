#include "native/cpu/kv/quantize.h"

#include <algorithm>
#include <cmath>
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
  quantizer.clip = plan.Clip(what, quantizer.bits);
  quantizer.grid = plan.Grid(quantizer.bits);
  quantizer.channels = plan.Channels();
  quantizer.run = plan.geometry.head_dim;
  quantizer.group = keys ? options.group_keys : options.group_values;
  const int32_t rotate = keys ? options.rotate_keys : options.rotate_values;
  const int64_t heads = rotate == SYL_KV_ROTATE_GROUP ? options.head_group : 1;
  const int64_t order = rotate == SYL_KV_ROTATE_NONE ? 1 : heads * plan.geometry.head_dim;
  float largest_mean = 0;
  for (const float mean : keys ? of.center_keys : of.center_values) {
    largest_mean = std::max(largest_mean, std::fabs(mean));
  }
  const float largest_gain = keys && !of.gain_keys.empty() ? kKvMaxGain : 1;
  // Less than 65504 by far more than roundings add.
  quantizer.tame = 60000 / (largest_gain * std::sqrt(static_cast<float>(order))) - largest_mean;
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
