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
      EXPECT_EQ(syl_kv_calibration_add_queries_f32(calibration.get(), layer, tokens.q.At(0), tokens.q.stride, kTokens),
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

TEST(KvMemoryRefused, CachesAndSequences) {
  const Fixture f;
  const syl_kv_cache_options options = {sizeof(options), 32, 64, 64, nullptr, 0};
  EXPECT_GT(RefuseObjects<syl_kv_cache>(
                "out of memory", [&](auto** made) { return syl_kv_cache_new(f.plan.get(), &options, made); },
                [](syl_kv_cache* cache) { EXPECT_EQ(syl_kv_cache_free(cache), SYL_OK) << syl_last_error(); }),
            5);

  KvText text(f.plan.get(), f.model.geometry, kTokens);
  text.Append(f.tokens, 0, 50);
  int64_t used = 0, pages = 0;
  ASSERT_EQ(syl_kv_cache_pages(text.cache(), &used, &pages), SYL_OK);
  const auto free_sequence = [&](syl_kv_sequence* sequence) {
    syl_kv_sequence_free(sequence);
    int64_t now = 0;
    EXPECT_EQ(syl_kv_cache_pages(text.cache(), &now, &pages), SYL_OK);
    EXPECT_EQ(now, used);
  };
  EXPECT_GT(RefuseObjects<syl_kv_sequence>(
                "syl_kv_sequence_new: out of memory",
                [&](auto** made) { return syl_kv_sequence_new(text.cache(), made); }, free_sequence),
            3);
  EXPECT_GT(RefuseObjects<syl_kv_sequence>(
                "syl_kv_fork: out of memory", [&](auto** made) { return syl_kv_fork(text.sequence(), 50, made); },
                free_sequence),
            3);
  int64_t bytes = 0;
  ASSERT_EQ(syl_kv_save_size(text.sequence(), &bytes), SYL_OK);
  std::vector<uint8_t> file(bytes);
  ASSERT_EQ(syl_kv_save(text.sequence(), file.data(), bytes), SYL_OK) << syl_last_error();
  EXPECT_GT(RefuseObjects<syl_kv_sequence>(
                "syl_kv_load: out of memory",
                [&](auto** made) { return syl_kv_load(text.cache(), file.data(), bytes, made); }, free_sequence),
            3);
}

// A step of decoding has the memory that it was given and takes no other.
TEST(KvMemoryRefused, AppendAndAttendNeedNone) {
  const Fixture f;
  KvText text(f.plan.get(), f.model.geometry, kTokens);
  syl_kv_sequence* sequence = text.sequence();
  std::vector<float> y(64 * f.tokens.q.cols);
  int64_t first = 0;
  for (const int64_t rows : {40, 1, 37, 60}) {
    const syl_kv_batch batch = {sizeof(batch), 1, &sequence, &rows};
    int64_t append_bytes = 0, attend_bytes = 0;
    ASSERT_EQ(syl_kv_append_workspace(&batch, 1, &append_bytes), SYL_OK) << syl_last_error();
    std::vector<uint8_t> append_workspace(static_cast<size_t>(append_bytes + 1));
    for (int32_t layer = 0; layer < f.model.geometry.layers; ++layer) {
      allocations_left = 0;
      const syl_status appended =
          syl_kv_append_f32(&batch, layer, f.tokens.k.At(first), f.tokens.k.stride, f.tokens.v.At(first),
                            f.tokens.v.stride, nullptr, append_workspace.data(), append_bytes, nullptr);
      allocations_left = -1;
      ASSERT_EQ(appended, SYL_OK) << syl_last_error();
      ASSERT_EQ(syl_kv_attend_workspace(&batch, layer, 1, &attend_bytes), SYL_OK) << syl_last_error();
      std::vector<uint8_t> attend_workspace(static_cast<size_t>(attend_bytes + 1));
      allocations_left = 0;
      const syl_status attended = syl_kv_attend_f32(&batch, layer, f.tokens.q.At(first), f.tokens.q.stride, y.data(),
                                                    f.tokens.q.cols, attend_workspace.data(), attend_bytes, nullptr);
      allocations_left = -1;
      ASSERT_EQ(attended, SYL_OK) << syl_last_error();
    }
    first += rows;
  }
}

}  // namespace
