// What a run refuses, before it writes anything.
#include "tests/native/hadamard/run.h"

#include <gtest/gtest.h>
#include <sylvester/sylvester.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace {

using namespace sylvester_test;

// A valid call on memory with room on both sides; a test changes one thing.
struct Call {
  explicit Call(const Rotation& rotation) : plan(NewPlan(rotation)) {
    needed = syl_hadamard_workspace(plan.get(), 1);
    bytes.assign(1 << 16, 0x11);
    x = bytes.data() + (1 << 13);
    y = bytes.data() + (2 << 13);
    if (rotation.Quantized()) scales = reinterpret_cast<float*>(bytes.data() + (3 << 13));
    if (rotation.HasZeros()) zeros = reinterpret_cast<float*>(bytes.data() + (4 << 13));
    workspace = bytes.data() + (5 << 13);
    workspace_bytes = needed;
    count = rotation.Transforms();
    EXPECT_LE(needed, 3 << 13);
  }

  syl_status Forward() {
    return syl_hadamard_run(plan.get(), x, y, scales, zeros, first, count, nullptr, workspace, workspace_bytes);
  }
  syl_status Back() {
    return syl_hadamard_run_transposed(plan.get(), y, x, first, count, nullptr, workspace, workspace_bytes);
  }

  Plan plan;
  std::vector<uint8_t> bytes;
  uint8_t *x, *y;
  float *scales = nullptr, *zeros = nullptr;
  uint8_t* workspace;
  int64_t workspace_bytes, needed, first = 0, count;
};

using Change = std::function<void(Call*)>;

void ExpectRefusal(const Rotation& rotation, syl_status status, const std::string& text, const Change& change,
                   bool transposed = false) {
  Call call(rotation);
  change(&call);
  const std::vector<uint8_t> before = call.bytes;
  const std::string function = transposed ? "syl_hadamard_run_transposed: " : "syl_hadamard_run: ";
  EXPECT_REFUSED(transposed ? call.Back() : call.Forward(), status, function + text);
  EXPECT_EQ(call.bytes, before) << text;
}

void ExpectBothRefuse(const Rotation& rotation, syl_status status, const std::string& text, const Change& change) {
  ExpectRefusal(rotation, status, text, change, false);
  ExpectRefusal(rotation, status, text, change, true);
}

void ExpectAccepted(const Rotation& rotation, const Change& change) {
  Call forward(rotation), back(rotation);
  change(&forward);
  EXPECT_EQ(forward.Forward(), SYL_OK) << syl_last_error();
  if (rotation.Quantized()) return;
  change(&back);
  EXPECT_EQ(back.Back(), SYL_OK) << syl_last_error();
}

// Needs workspace on any path.
Rotation Long16() { return Rotation(512, SYL_F16).Count(1, 1, 4).Rounds(2).Gather(512, 0, 140); }

TEST(HadamardRun, NullArgumentsAreRefused) {
  const Rotation rotation = Rotation(64).Count(1, 1, 4);
  ExpectBothRefuse(rotation, SYL_NULL_ARGUMENT, "plan is NULL", [](Call* c) { c->plan.reset(); });
  ExpectBothRefuse(rotation, SYL_NULL_ARGUMENT, "x is NULL", [](Call* c) { c->x = nullptr; });
  ExpectBothRefuse(rotation, SYL_NULL_ARGUMENT, "y is NULL", [](Call* c) { c->y = nullptr; });
  for (const int32_t quantizer : {SYL_HADAMARD_I8, SYL_HADAMARD_U4, SYL_HADAMARD_U2}) {
    const Rotation coded = Rotation(64).Count(1, 1, 4).Quantize(quantizer);
    ExpectRefusal(coded, SYL_NULL_ARGUMENT, "scales is NULL", [](Call* c) { c->scales = nullptr; });
    if (coded.HasZeros()) {
      ExpectRefusal(coded, SYL_NULL_ARGUMENT, "zeros is NULL", [](Call* c) { c->zeros = nullptr; });
    } else {
      ExpectRefusal(coded, SYL_BAD_VALUE, "zeros is given", [](Call* c) { c->zeros = c->scales + 64; });
    }
  }
  ExpectRefusal(rotation, SYL_BAD_VALUE, "scales is given",
                [](Call* c) { c->scales = reinterpret_cast<float*>(c->workspace); });
  EXPECT_EQ(syl_hadamard_workspace(nullptr, 1), 0);
}

TEST(HadamardRun, TransformsAreChecked) {
  const Rotation rotation = Rotation(64).Count(1, 2, 2);
  ExpectBothRefuse(rotation, SYL_BAD_VALUE, "first is -1, must be 0..4", [](Call* c) { c->first = -1; });
  ExpectBothRefuse(rotation, SYL_BAD_VALUE, "first is 5, must be 0..4", [](Call* c) { c->first = 5; });
  ExpectBothRefuse(rotation, SYL_BAD_VALUE, "count is -1, must be 0..4", [](Call* c) { c->count = -1; });
  ExpectBothRefuse(rotation, SYL_BAD_VALUE, "count is 4, must be 0..3 from transform 1", [](Call* c) { c->first = 1; });
  ExpectBothRefuse(rotation, SYL_BAD_VALUE, "count is ", [](Call* c) {
    c->first = 1;
    c->count = std::numeric_limits<int64_t>::max();
  });
  // None: nothing is written, wherever the pointers go.
  Call none(rotation);
  const std::vector<uint8_t> before = none.bytes;
  none.count = 0;
  none.y = none.x + 4;
  EXPECT_EQ(none.Forward(), SYL_OK) << syl_last_error();
  EXPECT_EQ(none.Back(), SYL_OK) << syl_last_error();
  EXPECT_EQ(none.bytes, before);
}

TEST(HadamardRun, WorkspaceIsChecked) {
  const Rotation rotation = Long16();
  ASSERT_GT(syl_hadamard_workspace(NewPlan(rotation).get(), 1), 0);
  ExpectBothRefuse(rotation, SYL_NULL_ARGUMENT, "workspace is NULL", [](Call* c) { c->workspace = nullptr; });
  ExpectBothRefuse(rotation, SYL_WORKSPACE, "workspace_bytes is -1, must be", [](Call* c) { c->workspace_bytes = -1; });
  ExpectBothRefuse(rotation, SYL_WORKSPACE, "workspace_bytes is ", [](Call* c) { --c->workspace_bytes; });
  ExpectBothRefuse(rotation, SYL_OVERLAP, "workspace overlaps x", [](Call* c) { c->workspace = c->x + 1024; });
  ExpectBothRefuse(rotation, SYL_OVERLAP, "workspace overlaps x", [](Call* c) { c->workspace = c->x - c->needed + 1; });
  ExpectBothRefuse(rotation, SYL_OVERLAP, "workspace overlaps y", [](Call* c) { c->workspace = c->y; });
  // More threads need as much or more.
  const Plan plan = NewPlan(rotation);
  EXPECT_GE(syl_hadamard_workspace(plan.get(), 4), syl_hadamard_workspace(plan.get(), 1));
}

TEST(HadamardRun, OverlapIsRefused) {
  const Rotation rotation = Rotation(64).Count(1, 1, 4);  // 1024 bytes
  for (const int64_t shift : {-1023, -4, -1, 1, 4, 256, 1023}) {
    ExpectBothRefuse(rotation, SYL_OVERLAP, "y overlaps x", [shift](Call* c) { c->y = c->x + shift; });
  }
  for (const int64_t shift : {-1024, 0, 1024}) ExpectAccepted(rotation, [shift](Call* c) { c->y = c->x + shift; });
  // In place needs one layout.
  Rotation strided = rotation;
  strided.YStride(0, 0, 65, 1);
  ExpectBothRefuse(strided, SYL_OVERLAP, "y overlaps x", [](Call* c) { c->y = c->x; });
  Rotation mixed = rotation;
  ExpectBothRefuse(mixed.Types(SYL_F16, SYL_BF16), SYL_OVERLAP, "y overlaps x", [](Call* c) { c->y = c->x; });
  Rotation longer = rotation;
  longer.Gather(70, 6, 141).XStride(0, 0, 70, 1).YStride(0, 0, 70, 1);
  ExpectBothRefuse(longer, SYL_OVERLAP, "y overlaps x", [](Call* c) { c->y = c->x; });
  Rotation permuted = rotation;
  ExpectAccepted(permuted.Gather(64, 0, 142), [](Call* c) { c->y = c->x; });

  // Only the transforms of the call count: the first half of x may be the second half of y.
  ExpectAccepted(rotation, [](Call* c) {
    c->count = 2;
    c->y = c->x + 512;
  });
  ExpectBothRefuse(rotation, SYL_OVERLAP, "y overlaps x", [](Call* c) {
    c->count = 2;
    c->y = c->x + 511;
  });
  // Strides that do not descend: transforms 1 .. 2 of 2 x 2 reach from 64 to 192.
  Rotation ascending = Rotation(64).Count(1, 2, 2);
  ascending.XStride(0, 64, 128, 1).YStride(0, 64, 128, 1);
  const auto middle = [](int64_t shift) {
    return [shift](Call* c) {
      c->first = 1;
      c->count = 2;
      c->y = c->x + shift;
    };
  };
  ExpectAccepted(ascending, middle(512));
  ExpectBothRefuse(ascending, SYL_OVERLAP, "y overlaps x", middle(511));
}

// The address ranges of any part of a batch are those of its elements, found one by one.
TEST(HadamardRun, OverlapIsJudgedByFirstAndLastElement) {
  std::vector<Rotation> rotations;
  rotations.push_back(Rotation(4).Count(2, 3, 4));
  rotations.push_back(Rotation(4).Count(2, 3, 4).XStride(4, 8, 24, 1).YStride(4, 8, 24, 1));
  rotations.push_back(Rotation(4).Count(2, 3, 4).XStride(48, 4, 12, 1).YStride(48, 4, 12, 1));
  rotations.push_back(Rotation(4).Count(2, 3, 4).XStride(12, 4, 24, 1).YStride(12, 4, 24, 1));
  for (const Rotation& rotation : rotations) {
    for (int64_t first = 0; first < 24; ++first) {
      for (int64_t count = 1; first + count <= 24; ++count) {
        int64_t low = std::numeric_limits<int64_t>::max(), high = 0;
        for (int64_t t = first; t < first + count; ++t) {
          low = std::min(low, rotation.XOffset(t));
          high = std::max(high, rotation.XOffset(t) + 4);
        }
        Call call(rotation);
        call.first = first;
        call.count = count;
        call.y = call.x + 4 * (high - low);
        ASSERT_EQ(call.Forward(), SYL_OK) << rotation.Name() << ": " << first << ", " << count;
        --call.y;
        ASSERT_EQ(call.Forward(), SYL_OVERLAP) << rotation.Name() << ": " << first << ", " << count;
      }
    }
  }
}

TEST(HadamardRun, OutputsOfAQuantizerMustNotOverlap) {
  const Rotation rotation = Rotation(64).Count(1, 1, 4).Quantize(SYL_HADAMARD_U4, 32);  // 128 bytes, 8 scales
  const auto as_floats = [](uint8_t* at) { return reinterpret_cast<float*>(at); };
  ExpectRefusal(rotation, SYL_OVERLAP, "y overlaps x", [](Call* c) { c->y = c->x + 1023; });
  ExpectRefusal(rotation, SYL_OVERLAP, "y overlaps x", [](Call* c) { c->y = c->x; });
  ExpectRefusal(rotation, SYL_OVERLAP, "scales overlaps x", [=](Call* c) { c->scales = as_floats(c->x + 1020); });
  ExpectRefusal(rotation, SYL_OVERLAP, "scales overlaps y", [=](Call* c) { c->scales = as_floats(c->y + 124); });
  ExpectRefusal(rotation, SYL_OVERLAP, "zeros overlaps x", [=](Call* c) { c->zeros = as_floats(c->x); });
  ExpectRefusal(rotation, SYL_OVERLAP, "zeros overlaps y", [=](Call* c) { c->zeros = as_floats(c->y - 28); });
  ExpectRefusal(rotation, SYL_OVERLAP, "zeros overlaps scales", [](Call* c) { c->zeros = c->scales + 7; });
  ExpectAccepted(rotation, [=](Call* c) {
    c->scales = as_floats(c->y + 128);
    c->zeros = c->scales + 8;
  });
  const Rotation spacious = Long16().Quantize(SYL_HADAMARD_U4);
  if (syl_hadamard_workspace(NewPlan(spacious).get(), 1) > 0) {
    ExpectRefusal(spacious, SYL_OVERLAP, "workspace overlaps scales",
                  [](Call* c) { c->workspace = reinterpret_cast<uint8_t*>(c->scales); });
    ExpectRefusal(spacious, SYL_OVERLAP, "workspace overlaps zeros",
                  [](Call* c) { c->workspace = reinterpret_cast<uint8_t*>(c->zeros) + 12; });
  }
}

TEST(HadamardRun, TransposeNeedsFloatsAndItsOwnElements) {
  const Rotation coded = Rotation(64).Count(1, 1, 4).Quantize(SYL_HADAMARD_I8);
  ExpectRefusal(
      coded, SYL_UNSUPPORTED, "plan has quantizer 1", [](Call*) {}, true);
  Rotation shared = Rotation(64).Count(1, 1, 4);
  shared.XStride(0, 0, 0, 1);
  ExpectRefusal(
      shared, SYL_BAD_SHAPE, "plan has x_stride {0, 0, 0, 1}", [](Call*) {}, true);
}

}  // namespace
