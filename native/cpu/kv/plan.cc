// Plans of the C ABI, and what a calibration adds to them.
#include <algorithm>
#include <cinttypes>
#include <cmath>
#include <memory>
#include <new>
#include <numeric>
#include <utility>

#include "native/common/kv_plan.h"
#include "native/common/kv_plan_file.h"
#include "native/common/status.h"
#include "native/cpu/kv/calibration.h"

namespace sylvester {
namespace {

constexpr int64_t kLeastTokens = 256;

syl_status CheckCalibration(const char* function, const KvPlan& plan, const syl_kv_calibration* calibration) {
  if (calibration == nullptr) {
    return Fail(SYL_NULL_ARGUMENT,
                "%s: calibration is NULL, but options->sort is %d, options->center %d and options->balance %d",
                function, plan.options.sort, plan.options.center, plan.options.balance);
  }
  if (calibration->geometry_hash != plan.geometry_hash) {
    return Fail(SYL_BAD_VALUE, "%s: calibration is of geometry %016" PRIx64 ", must be of %016" PRIx64, function,
                calibration->geometry_hash, plan.geometry_hash);
  }
  for (size_t i = 0; i < calibration->layers.size(); ++i) {
    const int64_t tokens = calibration->layers[i].tokens;
    if (tokens < kLeastTokens) {
      return Fail(SYL_BAD_VALUE,
                  "%s: calibration has seen %" PRId64 " tokens of layer %zu, must be %" PRId64 " or more", function,
                  tokens, i, kLeastTokens);
    }
    const int64_t queries = calibration->layers[i].queries;
    if (plan.options.balance != 0 && queries < kLeastTokens) {
      return Fail(SYL_BAD_VALUE,
                  "%s: calibration has seen %" PRId64 " queries of layer %zu, must be %" PRId64 " or more", function,
                  queries, i, kLeastTokens);
    }
  }
  return SYL_OK;
}

std::vector<double> Means(const std::vector<double>& sums, int64_t tokens) {
  std::vector<double> means(sums);
  for (double& mean : means) mean /= static_cast<double>(tokens);
  return means;
}

// Rounded so that the order of the sums' terms, which moves their last bits, seldom shows.
std::vector<float> Rounded(const std::vector<double>& means) { return {means.begin(), means.end()}; }

// (E q^2 / E k^2)^(1/4) of each channel of a layer, by its geometric mean in the channel's head.
std::vector<float> Gains(const KvSums& sums, const KvPlan& plan) {
  const bool centered = (plan.options.center & SYL_KV_CENTER_KEYS) != 0;
  const auto head_dim = static_cast<size_t>(plan.geometry.head_dim);
  const auto tokens = static_cast<double>(sums.tokens), queries = static_cast<double>(sums.queries);
  std::vector<double> logs(sums.keys.size());
  std::vector<float> gains(logs.size());
  for (size_t first = 0; first < logs.size(); first += head_dim) {
    double mean = 0;
    for (size_t c = first; c < first + head_dim; ++c) {
      const double k = centered ? sums.keys[c] / tokens : 0, variance = sums.key_squares[c] / tokens - k * k;
      const double ratio = sums.query_squares[c] / queries / variance;
      // Channels that one side never uses tell nothing.
      logs[c] = variance > 0 && ratio > 0 && std::isfinite(ratio) ? std::log(ratio) / 4 : 0;
      mean += logs[c] / static_cast<double>(head_dim);
    }
    for (size_t c = first; c < first + head_dim; ++c) {
      gains[c] = std::clamp(static_cast<float>(std::exp(logs[c] - mean)), 1 / kKvMaxGain, kKvMaxGain);
    }
  }
  return gains;
}

// R on the channels of a layer, in double.
class Rotation {
 public:
  syl_status Init(const char* function, const KvPlan& plan) {
    if (plan.options.rotate_keys == SYL_KV_ROTATE_NONE) return SYL_OK;
    syl_hadamard_options options;
    if (syl_status s = KvRotation(function, plan, plan.options.rotate_keys, &options)) return s;
    options.x_type = options.y_type = SYL_F64;
    options.count[2] = plan.Channels() / options.n;
    rows_ = options.count[2];
    syl_hadamard* made = nullptr;
    if (syl_status s = syl_hadamard_new(&options, &made)) return Fail(s, "%s: out of memory for a rotation", function);
    hadamard_.reset(made);
    workspace_.resize(syl_hadamard_workspace(made, 1));
    return SYL_OK;
  }
  syl_status Run(std::vector<double>* x) {
    if (hadamard_ == nullptr) return SYL_OK;
    return syl_hadamard_run(hadamard_.get(), x->data(), x->data(), nullptr, nullptr, 0, rows_, nullptr,
                            workspace_.data(), static_cast<int64_t>(workspace_.size()));
  }

 private:
  std::unique_ptr<syl_hadamard, decltype(&syl_hadamard_free)> hadamard_{nullptr, &syl_hadamard_free};
  int64_t rows_ = 0;
  std::vector<uint8_t> workspace_;
};

// Groups of channels with neighbouring means, those of equal means in their own order.
std::vector<uint16_t> SortedGroups(const std::vector<float>& means, int32_t group) {
  std::vector<int32_t> order(means.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return means[a] < means[b]; });
  std::vector<uint16_t> groups(means.size());
  for (size_t i = 0; i < order.size(); ++i) groups[order[i]] = static_cast<uint16_t>(i / group);
  return groups;
}

syl_status Calibrate(const char* function, const syl_kv_calibration* calibration, KvPlan* plan) {
  const syl_kv_options& o = plan->options;
  if (o.sort == 0 && o.center == 0 && o.balance == 0) return SYL_OK;
  if (syl_status s = CheckCalibration(function, *plan, calibration)) return s;
  Rotation rotation;
  if (o.sort != 0) {
    if (syl_status s = rotation.Init(function, *plan)) return s;
  }
  for (size_t i = 0; i < plan->layers.size(); ++i) {
    const KvSums& sums = calibration->layers[i];
    KvLayer& layer = plan->layers[i];
    std::vector<double> keys = Means(sums.keys, sums.tokens);
    if ((o.center & SYL_KV_CENTER_KEYS) != 0) layer.center_keys = Rounded(keys);
    if ((o.center & SYL_KV_CENTER_VALUES) != 0) layer.center_values = Rounded(Means(sums.values, sums.tokens));
    if (o.balance != 0) layer.gain_keys = Gains(sums, *plan);
    if (o.sort == 0) continue;
    if (syl_status s = rotation.Run(&keys)) return s;
    layer.group_of = SortedGroups(Rounded(keys), o.group_keys);
  }
  return SYL_OK;
}

// Scales and zeros counted.
double EffectiveBits(const KvPlan& plan, const KvSide& side) {
  const int64_t bytes = plan.geometry.kv_heads * side.head_bytes + 2 * side.groups * kKvTile;
  return static_cast<double>(bytes * 8) / static_cast<double>(plan.Channels() * kKvTile);
}

syl_status Publish(const char* function, KvPlan&& made, syl_kv_plan** plan) {
  try {
    auto created = std::make_unique<syl_kv_plan>();
    created->plan = std::make_shared<const KvPlan>(std::move(made));
    *plan = created.release();
    return SYL_OK;
  } catch (const std::bad_alloc&) {
    return Fail(SYL_OUT_OF_MEMORY, "%s: out of memory", function);
  }
}

}  // namespace
}  // namespace sylvester

syl_status syl_kv_plan_new(const syl_kv_geometry* geometry, const syl_kv_options* options,
                           const syl_kv_calibration* calibration, syl_kv_plan** plan) {
  SYL_REQUIRE_PTR(plan);
  sylvester::KvPlan made;
  if (syl_status s = sylvester::MakeKvPlan(__func__, geometry, options, &made)) return s;
  try {
    if (syl_status s = sylvester::Calibrate(__func__, calibration, &made)) return s;
    sylvester::SealKvPlan(&made);
  } catch (const std::bad_alloc&) {
    return sylvester::Fail(SYL_OUT_OF_MEMORY, "%s: out of memory for %d layers", __func__, geometry->layers);
  }
  return sylvester::Publish(__func__, std::move(made), plan);
}

void syl_kv_plan_free(syl_kv_plan* plan) { delete plan; }

syl_status syl_kv_plan_size(const syl_kv_plan* plan, int64_t* bytes) {
  SYL_REQUIRE_PTR(plan);
  SYL_REQUIRE_PTR(bytes);
  *bytes = sylvester::KvPlanFileBytes(*plan->plan);
  return SYL_OK;
}

syl_status syl_kv_plan_save(const syl_kv_plan* plan, void* file, int64_t bytes) {
  SYL_REQUIRE_PTR(plan);
  SYL_REQUIRE_PTR(file);
  const int64_t needed = sylvester::KvPlanFileBytes(*plan->plan);
  SYL_REQUIRE(bytes >= needed, SYL_WORKSPACE, "bytes is %" PRId64 ", must be %" PRId64 " or more", bytes, needed);
  sylvester::SaveKvPlan(*plan->plan, static_cast<uint8_t*>(file));
  return SYL_OK;
}

syl_status syl_kv_plan_load(const void* file, int64_t bytes, const syl_kv_geometry* geometry, syl_kv_plan** plan) {
  SYL_REQUIRE_PTR(plan);
  sylvester::KvPlan made;
  if (syl_status s = sylvester::LoadKvPlan(__func__, file, bytes, geometry, &made)) return s;
  return sylvester::Publish(__func__, std::move(made), plan);
}

syl_status syl_kv_plan_describe(const syl_kv_plan* plan, syl_kv_plan_info* info) {
  SYL_REQUIRE_PTR(plan);
  SYL_REQUIRE_STRUCT(info);
  const sylvester::KvPlan& of = *plan->plan;
  const auto layers = static_cast<int64_t>(of.layers.size());
  double keys = 0, values = 0;
  for (const sylvester::KvLayer& layer : of.layers) {
    keys += sylvester::EffectiveBits(of, layer.keys);
    values += sylvester::EffectiveBits(of, layer.values);
  }
  info->layers = static_cast<int32_t>(layers);
  info->bits_keys = keys / static_cast<double>(layers);
  info->bits_values = values / static_cast<double>(layers);
  info->tile_bytes = of.tile_bytes;
  info->token_half_bytes = layers * of.Channels() * 2 * static_cast<int64_t>(sizeof(uint16_t));
  info->rope = of.options.rope;
  info->window = of.options.window;
  info->first_tokens = of.options.first_tokens;
  info->max_sinks = of.options.max_sinks;
  return SYL_OK;
}

syl_status syl_kv_plan_options(const syl_kv_plan* plan, syl_kv_options* options) {
  SYL_REQUIRE_PTR(plan);
  SYL_REQUIRE_STRUCT(options);
  *options = plan->plan->options;
  return SYL_OK;
}
