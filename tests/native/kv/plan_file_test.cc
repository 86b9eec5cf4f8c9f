// Plans as bytes: what is saved is loaded, and what is wrong is refused with its offset.
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/native/kv/model.h"
#include "tests/native/testing.h"

namespace {

using namespace sylvester_test;

constexpr int64_t kHeader = 112;

// 3 heads of 48 channels, sorted in groups of 64, of which the last is shorter; all that a file can have.
struct Fixture {
  Fixture() : model(3, 48), calibration(NewKvCalibration(model.geometry)) {
    for (int32_t layer = 0; layer < 2; ++layer) {
      const Rows k(300, model.Channels(), 10 + layer), v(300, model.Channels(), 20 + layer);
      EXPECT_EQ(syl_kv_calibration_add_f32(calibration.get(), layer, k.At(0), k.stride, v.At(0), v.stride, 300),
                SYL_OK);
      const Rows q(300, 2 * model.Channels(), 30 + layer);
      EXPECT_EQ(syl_kv_calibration_add_queries_f32(calibration.get(), layer, q.At(0), q.stride, 300), SYL_OK)
          << syl_last_error();
    }
    syl_kv_options options = Preset("rotatekv");
    options.center = SYL_KV_CENTER_KEYS + SYL_KV_CENTER_VALUES;
    options.group_keys = 64;
    const uint8_t bits[4] = {2, 3, 4, 8};
    options.layer_bits = bits;
    plan = NewKvPlan(model.geometry, options, calibration.get());
    file = Saved(plan);
    layer_bytes = 4 + model.Channels() * (2 + 4 + 4) + 4;
  }

  syl_status Load(const std::vector<uint8_t>& bytes, KvPlanPtr* loaded) const {
    // A copy that ends where the bytes do, so that a sanitizer sees what is read behind them.
    const std::vector<uint8_t> exact(bytes);
    syl_kv_plan* made = nullptr;
    const syl_status status =
        syl_kv_plan_load(exact.data(), static_cast<int64_t>(exact.size()), &model.geometry, &made);
    EXPECT_EQ(status == SYL_OK, made != nullptr);
    loaded->reset(made);
    return status;
  }
  // With the checksums of what the bytes then are.
  void ExpectRefused(std::vector<uint8_t> bytes, int64_t offset, const std::string& text) const {
    Seal(&bytes);
    KvPlanPtr loaded(nullptr, &syl_kv_plan_free);
    EXPECT_REFUSED(Load(bytes, &loaded), SYL_BAD_DATA,
                   "syl_kv_plan_load: file, offset " + std::to_string(offset) + ": " + text);
  }
  void Seal(std::vector<uint8_t>* bytes) const {
    const auto seal = [&](int64_t begin, int64_t end) {
      if (end > static_cast<int64_t>(bytes->size())) return;
      const uint32_t crc = sylvester::Crc32(bytes->data() + begin, end - 4 - begin);
      std::memcpy(bytes->data() + end - 4, &crc, 4);
    };
    seal(0, kHeader);
    for (int64_t i = 0; i < 2; ++i) seal(kHeader + i * layer_bytes, kHeader + (i + 1) * layer_bytes);
  }
  template <typename T>
  std::vector<uint8_t> With(int64_t offset, T value) const {
    std::vector<uint8_t> changed(file);
    std::memcpy(changed.data() + offset, &value, sizeof(value));
    return changed;
  }

  KvModel model;
  KvCalibrationPtr calibration;
  KvPlanPtr plan{nullptr, &syl_kv_plan_free};
  std::vector<uint8_t> file;
  int64_t layer_bytes;
};

TEST(KvPlanFile, LoadedIsWhatWasSaved) {
  const Fixture f;
  KvPlanPtr loaded(nullptr, &syl_kv_plan_free);
  ASSERT_EQ(f.Load(f.file, &loaded), SYL_OK) << syl_last_error();
  EXPECT_EQ(Saved(loaded), f.file);
  const sylvester::KvPlan &a = *f.plan->plan, &b = *loaded->plan;
  EXPECT_EQ(b.layer_bits, a.layer_bits);
  EXPECT_EQ(b.options.layer_bits, b.layer_bits.data());
  EXPECT_EQ(b.tile_bytes, a.tile_bytes);
  EXPECT_EQ(b.geometry_hash, a.geometry_hash);
  EXPECT_EQ(b.checksum, a.checksum);
  for (size_t i = 0; i < a.layers.size(); ++i) {
    EXPECT_EQ(b.layers[i].group_of, a.layers[i].group_of);
    EXPECT_EQ(b.layers[i].center_keys, a.layers[i].center_keys);
    EXPECT_EQ(b.layers[i].center_values, a.layers[i].center_values);
    EXPECT_EQ(b.layers[i].tile_bytes, a.layers[i].tile_bytes);
  }
}

TEST(KvPlanFile, PlansOfOneSizeHaveChecksumsOfTheirOwn) {
  const Fixture f;
  syl_kv_options options = Preset("best");
  std::set<uint32_t> checksums;
  for (const float clip : {0.7f, 0.8f, 0.9f}) {
    options.clip_values = clip;
    checksums.insert(NewKvPlan(f.model.geometry, options, f.calibration.get())->plan->checksum);
    options.bits_keys = 3;
    checksums.insert(NewKvPlan(f.model.geometry, options, f.calibration.get())->plan->checksum);
    options.bits_keys = 2;
  }
  EXPECT_EQ(checksums.size(), 6u);
}

TEST(KvPlanFile, EveryPresetIsLoaded) {
  const Fixture f;
  for (const char* name : {"rotatekv", "quarot", "turbo", "q8", "q4", "best"}) {
    const KvPlanPtr plan = NewKvPlan(f.model.geometry, Preset(name), f.calibration.get());
    KvPlanPtr loaded(nullptr, &syl_kv_plan_free);
    ASSERT_EQ(f.Load(Saved(plan), &loaded), SYL_OK) << syl_last_error();
    EXPECT_EQ(Saved(loaded), Saved(plan)) << name;
    EXPECT_EQ(loaded->plan->layers[1].group_of, plan->plan->layers[1].group_of) << name;
  }
}

// The bytes of the description in kv_plan_file.h, put together here.
TEST(KvPlanFile, HasTheBytesOfItsDescription) {
  const KvModel model(1, 16, 1);
  const KvPlanPtr plan = NewKvPlan(model.geometry, PlainOptions());
  std::vector<uint8_t> want = {'S', 'Y', 'L', 'K', 'V', 'P', 'L', 'N'};
  const auto put = [&](uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) want.push_back(static_cast<uint8_t>(value >> 8 * i));
  };
  put(2, 4);
  put(1, 4);
  put(120, 8);
  put(plan->plan->geometry_hash, 8);
  for (const uint32_t field : {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 4, 16, 16, 0x3f800000, 0x3f800000, 0, 0, 0}) {
    put(field, 4);
  }
  put(sylvester::Crc32(want.data(), 108), 4);
  put(4, 2);
  put(4, 2);
  put(sylvester::Crc32(want.data() + 112, 4), 4);
  EXPECT_EQ(Saved(plan), want);
}

TEST(KvPlanFile, EveryFlippedBitIsRefused) {
  const Fixture f;
  for (size_t i = 0; i < f.file.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::vector<uint8_t> changed(f.file);
      changed[i] = static_cast<uint8_t>(changed[i] ^ 1 << bit);
      KvPlanPtr loaded(nullptr, &syl_kv_plan_free);
      ASSERT_EQ(f.Load(changed, &loaded), SYL_BAD_DATA) << "byte " << i << ", bit " << bit;
      // Magic and version at their place, all else at the checksum behind it.
      const auto at = static_cast<int64_t>(i);
      const int64_t layer_end = at < kHeader ? kHeader : kHeader + ((at - kHeader) / f.layer_bytes + 1) * f.layer_bytes;
      const int64_t offset = at < 8 ? 0 : at < 12 ? 8 : layer_end - 4;
      ASSERT_NE(std::string(syl_last_error()).find("file, offset " + std::to_string(offset) + ": "), std::string::npos)
          << "byte " << i << ": " << syl_last_error();
    }
  }
}

TEST(KvPlanFile, EveryLengthButItsOwnIsRefused) {
  const Fixture f;
  for (size_t bytes = 0; bytes <= f.file.size() + 5; ++bytes) {
    if (bytes == f.file.size()) continue;
    std::vector<uint8_t> changed(f.file);
    changed.resize(bytes);
    changed.reserve(1);  // so that data() is not NULL
    syl_kv_plan* made = nullptr;
    ASSERT_EQ(syl_kv_plan_load(changed.data(), static_cast<int64_t>(bytes), &f.model.geometry, &made), SYL_BAD_DATA);
    ASSERT_NE(std::string(syl_last_error()).find("has " + std::to_string(bytes) + " bytes, must have "),
              std::string::npos)
        << syl_last_error();
  }
  syl_kv_plan* made = nullptr;
  for (const int64_t bytes : {int64_t{-1}, INT64_MIN}) {
    EXPECT_REFUSED(syl_kv_plan_load(f.file.data(), bytes, &f.model.geometry, &made), SYL_BAD_DATA,
                   "has " + std::to_string(bytes) + " bytes");
  }
}

// Files made to deceive: their checksums are right.
TEST(KvPlanFile, HostileFieldsAreRefused) {
  const Fixture f;
  f.ExpectRefused(f.With(0, 'T'), 0, "is no SYLKVPLN");
  f.ExpectRefused(f.With(8, uint32_t{1}), 8, "version is 1, must be 2");
  for (const uint32_t layers : {0u, 1u, 3u, 0xffffffffu}) {
    f.ExpectRefused(f.With(12, layers), 12, "layers is " + std::to_string(layers) + ", must be 2");
  }
  for (const int64_t bytes : {int64_t{0}, int64_t{-1}, INT64_MAX, int64_t{112}}) {
    f.ExpectRefused(f.With(16, bytes), 16, "says " + std::to_string(bytes) + " bytes, must be ");
  }
  f.ExpectRefused(f.With(24, uint64_t{5}), 24, "hash of the geometry is 0000000000000005, must be ");

  // Options that change the size of a layer are found by that, all others by the checks of options.
  const int64_t sort = 32 + 4 * 4, center = 32 + 5 * 4, balance = 32 + 9 * 4;
  f.ExpectRefused(f.With(sort, int32_t{0}), 16, "says ");
  f.ExpectRefused(f.With(center, int32_t{0}), 16, "says ");
  f.ExpectRefused(f.With(balance, int32_t{1}), 16, "says ");
  f.ExpectRefused(f.With(sort, int32_t{-7}), 32, "syl_kv_plan_load: options->sort is -7, must be 0..1");
  f.ExpectRefused(f.With(center, int32_t{7}), 32, "syl_kv_plan_load: options->center is 7, must be 0..3");
  const char* const names[19] = {"rope",
                                 "rotate_keys",
                                 "rotate_values",
                                 "head_group",
                                 "",
                                 "",
                                 "grid",
                                 "clip_mode",
                                 "integer_zero",
                                 "",
                                 "bits_keys",
                                 "bits_values",
                                 "group_keys",
                                 "group_values",
                                 "clip_keys",
                                 "clip_values",
                                 "first_tokens",
                                 "max_sinks",
                                 "window"};
  for (int64_t i = 0; i < 19; ++i) {
    if (names[i][0] == 0) continue;
    for (const int32_t value : {INT32_MIN, INT32_MAX}) {
      f.ExpectRefused(f.With(32 + 4 * i, value), 32, std::string("syl_kv_plan_load: options->") + names[i] + " is ");
    }
  }

  // What a plan would have changed.
  for (const int64_t field : {3, 13}) {
    f.ExpectRefused(f.With(32 + 4 * field, field == 3 ? int32_t{0} : int32_t{64}), 32,
                    "options have defaults that are not filled in");
  }

  for (const int64_t layer : {0, 1}) {
    const int64_t at = kHeader + layer * f.layer_bytes, groups = at + 4, centers = groups + 2 * f.model.Channels();
    f.ExpectRefused(f.With(at, uint16_t{0x0102}), at, "bits is 258, must be 2, 3, 4 or 8");
    f.ExpectRefused(f.With(at + 2, uint16_t{9}), at + 2, "bits is 9, must be 2, 3, 4 or 8");
    f.ExpectRefused(f.With(at, uint16_t{5}), 32,
                    "syl_kv_plan_load: options->layer_bits[" + std::to_string(layer) + "][0] is 5");
    f.ExpectRefused(f.With(groups + 10, uint16_t{3}), groups + 10, "group is 3, must be less than 3");
    f.ExpectRefused(f.With(groups + 286, uint16_t{0xffff}), groups + 286, "group is 65535, must be less than 3");
    std::vector<uint8_t> unequal(f.file);
    unequal[groups] = static_cast<uint8_t>((unequal[groups] + 1) % 3);
    const char* const first_wrong[3] = {"65 channels in group 0", "63 channels in group 0", "63 channels in group 1"};
    f.ExpectRefused(unequal, groups, std::string(first_wrong[unequal[groups]]) + ", must be 64");
    f.ExpectRefused(f.With(centers + 8, kNaN), centers + 8, "mean is ");
    f.ExpectRefused(f.With(centers + 4 * (2 * f.model.Channels() - 1), -kInfinity),
                    centers + 4 * (2 * f.model.Channels() - 1), "mean is -inf, must be finite");
  }
}

TEST(KvPlanFile, GainsAreCheckedAndLoaded) {
  const Fixture f;
  const KvPlanPtr plan = NewKvPlan(f.model.geometry, Preset("best"), f.calibration.get());
  Fixture best;
  best.file = Saved(plan);
  best.layer_bytes = 4 + f.model.Channels() * (4 + 4) + 4;
  KvPlanPtr loaded(nullptr, &syl_kv_plan_free);
  ASSERT_EQ(best.Load(best.file, &loaded), SYL_OK) << syl_last_error();
  EXPECT_EQ(loaded->plan->layers[1].gain_keys, plan->plan->layers[1].gain_keys);
  for (const int64_t layer : {0, 1}) {
    const int64_t gains = kHeader + layer * best.layer_bytes + 4 + 4 * f.model.Channels();
    for (const float bad : {0.0f, 0.12f, 8.1f, -1.0f, kNaN, kInfinity}) {
      best.ExpectRefused(best.With(gains + 8, bad), gains + 8, "gain is ");
      best.ExpectRefused(best.With(gains + 4 * (f.model.Channels() - 1), bad), gains + 4 * (f.model.Channels() - 1),
                         "gain is ");
    }
  }
}

// Anything with right checksums is a plan or refused, without a byte read or written where it should not be.
TEST(KvPlanFile, RandomBytesNeverHarm) {
  const Fixture f;
  std::mt19937 random(4);
  int64_t loaded_plans = 0;
  for (int i = 0; i < 20000; ++i) {
    std::vector<uint8_t> bytes(f.file);
    for (int changes = static_cast<int>(random() % 4); changes >= 0; --changes) {
      const size_t from = random() % 2 == 0 ? 8 : 0, to = random() % 2 == 0 ? kHeader : bytes.size();
      bytes[from + random() % (to - from)] = static_cast<uint8_t>(random() % 3 == 0 ? random() : random() % 5);
    }
    f.Seal(&bytes);
    KvPlanPtr loaded(nullptr, &syl_kv_plan_free);
    const syl_status status = f.Load(bytes, &loaded);
    ASSERT_TRUE(status == SYL_OK || status == SYL_BAD_DATA) << syl_last_error();
    if (status != SYL_OK) continue;
    ++loaded_plans;
    ASSERT_EQ(Saved(loaded), bytes);
  }
  EXPECT_GT(loaded_plans, 100);
}

TEST(KvPlanFile, OtherGeometriesAndBadArgumentsAreRefused) {
  const Fixture f;
  const auto bytes = static_cast<int64_t>(f.file.size());
  const KvModel other(3, 48);
  syl_kv_geometry geometry = other.geometry;
  syl_kv_plan* made = nullptr;
  EXPECT_EQ(syl_kv_plan_load(f.file.data(), bytes, &geometry, &made), SYL_OK) << syl_last_error();
  syl_kv_plan_free(made);
  made = nullptr;
  geometry.scale = 2;
  EXPECT_REFUSED(syl_kv_plan_load(f.file.data(), bytes, &geometry, &made), SYL_BAD_DATA,
                 "offset 24: hash of the geometry is ");
  geometry.layers = 0;
  EXPECT_REFUSED(syl_kv_plan_load(f.file.data(), bytes, &geometry, &made), SYL_BAD_VALUE,
                 "syl_kv_plan_load: geometry->layers is 0, must be 1..1024");
  EXPECT_REFUSED(syl_kv_plan_load(nullptr, bytes, &f.model.geometry, &made), SYL_NULL_ARGUMENT, "file is NULL");
  EXPECT_REFUSED(syl_kv_plan_load(f.file.data(), bytes, nullptr, &made), SYL_NULL_ARGUMENT, "geometry is NULL");
  EXPECT_REFUSED(syl_kv_plan_load(f.file.data(), bytes, &f.model.geometry, nullptr), SYL_NULL_ARGUMENT, "plan is NULL");
  EXPECT_EQ(made, nullptr);

  std::vector<uint8_t> room(f.file.size(), 0xee);
  const std::vector<uint8_t> untouched(room);
  EXPECT_REFUSED(syl_kv_plan_save(f.plan.get(), room.data(), bytes - 1), SYL_WORKSPACE,
                 "bytes is " + std::to_string(bytes - 1) + ", must be " + std::to_string(bytes) + " or more");
  EXPECT_REFUSED(syl_kv_plan_save(nullptr, room.data(), bytes), SYL_NULL_ARGUMENT, "plan is NULL");
  EXPECT_REFUSED(syl_kv_plan_save(f.plan.get(), nullptr, bytes), SYL_NULL_ARGUMENT, "file is NULL");
  EXPECT_EQ(room, untouched);
  int64_t size = 0;
  EXPECT_REFUSED(syl_kv_plan_size(nullptr, &size), SYL_NULL_ARGUMENT, "plan is NULL");
  EXPECT_REFUSED(syl_kv_plan_size(f.plan.get(), nullptr), SYL_NULL_ARGUMENT, "bytes is NULL");
}

}  // namespace
