// Every allocation refused in turn: an error, nothing lost, nothing changed.
#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "tests/native/allocations.h"
#include "tests/native/kv/model.h"
#include "tests/native/kv/text.h"
#include "tests/native/testing.h"

namespace {

using namespace sylvester_test;

constexpr int64_t kTokens = 300;

// Everything that plans and sequences can have.
struct Fixture {
  Fixture() : calibration(NewKvCalibration(model.geometry)), tokens(model.geometry, kTokens, 1) {
    for (int32_t layer = 0; layer < model.geometry.layers; ++layer) {
      EXPECT_EQ(syl_kv_calibration_add_f32(calibration.get(), layer, tokens.k.At(0), tokens.k.stride, tokens.v.At(0),
                                           tokens.v.stride, kTokens),
                SYL_OK);
    }
    options = Preset("rotatekv");
    options.center = SYL_KV_CENTER_KEYS + SYL_KV_CENTER_VALUES;
    options.window = 32;
    options.first_tokens = 4;
    plan = NewKvPlan(model.geometry, options, calibration.get());
  }
  KvModel model;
  KvCalibrationPtr calibration;
  KvTokens tokens;
  syl_kv_options options;
  KvPlanPtr plan{nullptr, &syl_kv_plan_free};
};

// Of a function that makes an object: none where it is refused.
template <typename T, typename Make, typename Free>
int64_t RefuseObjects(const char* text, Make make, Free free) {
  T* object = nullptr;
  return RefuseAllocations(
      text, [&] { return make(&object); },
      [&](syl_status status) {
        EXPECT_EQ(object == nullptr, status != SYL_OK);
        free(object);
        object = nullptr;
      });
}

TEST(KvMemoryRefused, PlansAndCalibrations) {
  const Fixture f;
  EXPECT_GT(RefuseObjects<syl_kv_calibration>(
                "syl_kv_calibration_new: out of memory",
                [&](auto** made) { return syl_kv_calibration_new(&f.model.geometry, made); }, syl_kv_calibration_free),
            3);
  EXPECT_GT(RefuseObjects<syl_kv_plan>(
                "syl_kv_plan_new: out of memory",
                [&](auto** made) { return syl_kv_plan_new(&f.model.geometry, &f.options, f.calibration.get(), made); },
                syl_kv_plan_free),
            10);
  const std::vector<uint8_t> file = Saved(f.plan);
  EXPECT_GT(RefuseObjects<syl_kv_plan>(
                "syl_kv_plan_load: out of memory",
                [&](auto** made) {
                  return syl_kv_plan_load(file.data(), static_cast<int64_t>(file.size()), &f.model.geometry, made);
                },
                syl_kv_plan_free),
            10);
}

}  // namespace
