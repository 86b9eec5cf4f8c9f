// Geometries, options and plans of the tests.
#ifndef SYLVESTER_TESTS_NATIVE_KV_MODEL_H_
#define SYLVESTER_TESTS_NATIVE_KV_MODEL_H_

#include <gtest/gtest.h>
#include <sylvester/sylvester.h>

#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "native/common/kv_plan.h"

namespace sylvester_test {

using KvPlanPtr = std::unique_ptr<syl_kv_plan, decltype(&syl_kv_plan_free)>;
using KvSequencePtr = std::unique_ptr<syl_kv_sequence, decltype(&syl_kv_sequence_free)>;
using KvCalibrationPtr = std::unique_ptr<syl_kv_calibration, decltype(&syl_kv_calibration_free)>;

// A geometry with rotary positions over whole heads. It points into itself: not to be copied.
struct KvModel {
  explicit KvModel(int64_t kv_heads = 2, int64_t head_dim = 64, int32_t layers = 2, int64_t queries_per_head = 2)
      : windows(layers, 0), inv_freq(head_dim / 2) {
    for (int64_t i = 0; i < head_dim / 2; ++i) inv_freq[i] = std::pow(1e4, -2.0 * i / head_dim);
    geometry.struct_size = sizeof(geometry);
    geometry.layers = layers;
    geometry.q_heads = kv_heads * queries_per_head;
    geometry.kv_heads = kv_heads;
    geometry.head_dim = head_dim;
    geometry.scale = 1 / std::sqrt(static_cast<float>(head_dim));
    geometry.windows = windows.data();
    geometry.rope_dims = head_dim;
    geometry.inv_freq = inv_freq.data();
    geometry.rope_magnitude = 1;
  }
  KvModel(const KvModel&) = delete;
  KvModel& operator=(const KvModel&) = delete;

  int64_t Channels() const { return geometry.kv_heads * geometry.head_dim; }

  syl_kv_geometry geometry = {};
  std::vector<int64_t> windows;
  std::vector<double> inv_freq;
};

inline syl_kv_options Preset(const std::string& name, int32_t bits = 0) {
  syl_kv_options options = {};
  options.struct_size = sizeof(options);
  EXPECT_EQ(syl_kv_preset(name.c_str(), bits, &options), SYL_OK) << syl_last_error();
  return options;
}

// Uniform, 4 bits, groups of 32, no rotation: the options to change one field of.
inline syl_kv_options PlainOptions() { return Preset("q4"); }

inline KvPlanPtr NewKvPlan(const syl_kv_geometry& geometry, const syl_kv_options& options,
                           const syl_kv_calibration* calibration = nullptr) {
  syl_kv_plan* plan = nullptr;
  EXPECT_EQ(syl_kv_plan_new(&geometry, &options, calibration, &plan), SYL_OK) << syl_last_error();
  return KvPlanPtr(plan, &syl_kv_plan_free);
}

inline syl_kv_plan_info Describe(const KvPlanPtr& plan) {
  syl_kv_plan_info info = {};
  info.struct_size = sizeof(info);
  EXPECT_EQ(syl_kv_plan_describe(plan.get(), &info), SYL_OK) << syl_last_error();
  return info;
}

inline syl_kv_options OptionsOf(const KvPlanPtr& plan) {
  syl_kv_options options = {};
  options.struct_size = sizeof(options);
  EXPECT_EQ(syl_kv_plan_options(plan.get(), &options), SYL_OK) << syl_last_error();
  return options;
}

inline std::vector<uint8_t> Saved(const KvPlanPtr& plan) {
  int64_t bytes = 0;
  EXPECT_EQ(syl_kv_plan_size(plan.get(), &bytes), SYL_OK);
  std::vector<uint8_t> file(bytes);
  EXPECT_EQ(syl_kv_plan_save(plan.get(), file.data(), bytes), SYL_OK) << syl_last_error();
  return file;
}

inline KvCalibrationPtr NewKvCalibration(const syl_kv_geometry& geometry) {
  syl_kv_calibration* calibration = nullptr;
  EXPECT_EQ(syl_kv_calibration_new(&geometry, &calibration), SYL_OK) << syl_last_error();
  return KvCalibrationPtr(calibration, &syl_kv_calibration_free);
}

}  // namespace sylvester_test

#endif
