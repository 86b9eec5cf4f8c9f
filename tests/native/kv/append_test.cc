// What append writes: tiles against a model that sets single bits, halves, sinks; and that nothing but the tokens
// matters: not how a text is cut, nor threads, tiers, strides or batches.
#include <sylvester/sylvester.h>

#include "tests/native/kv/reference.h"
#include "tests/native/kv/text.h"

namespace {

using namespace sylvester_test;

struct Case {
  int64_t kv_heads = 2, head_dim = 64;
  int32_t bits_keys = 2, bits_values = 2;
  int32_t group_keys = 32, group_values = 32;
  int32_t rope = SYL_KV_POST_ROPE, rotate_keys = SYL_KV_ROTATE_NONE, rotate_values = SYL_KV_ROTATE_NONE;
  int32_t sort = 0, center = 0, grid = SYL_KV_UNIFORM, clip_mode = SYL_KV_CLIP_RANGE, integer_zero = 0, balance = 0;
  float clip = 1;
  int32_t first_tokens = 0, max_sinks = 0, window = 0;

  syl_kv_options Options() const {
    syl_kv_options o = {};
    o.struct_size = sizeof(o);
    o.rope = rope;
    o.rotate_keys = rotate_keys;
    o.rotate_values = rotate_values;
    o.sort = sort;
    o.center = center;
    o.grid = grid;
    o.clip_mode = clip_mode;
    o.integer_zero = integer_zero;
    o.balance = balance;
    o.bits_keys = bits_keys;
    o.bits_values = bits_values;
    o.group_keys = group_keys;
    o.group_values = group_values;
    o.clip_keys = o.clip_values = clip;
    o.first_tokens = first_tokens;
    o.max_sinks = max_sinks;
    o.window = window;
    return o;
  }
};

std::string Describe(const Case& c) {
  std::ostringstream text;
  text << c.kv_heads << " x " << c.head_dim << ", bits " << c.bits_keys << " " << c.bits_values << ", groups "
       << c.group_keys << " " << c.group_values << ", rope " << c.rope << ", rotate " << c.rotate_keys << " "
       << c.rotate_values << ", sort " << c.sort << ", center " << c.center << ", grid " << c.grid << ", clip "
       << c.clip_mode << " " << c.clip << ", integer_zero " << c.integer_zero << ", balance " << c.balance << ", sinks "
       << c.first_tokens << " " << c.max_sinks << ", window " << c.window;
  return text.str();
}

// All kinds of numbers; row r of a side is of kind r % 12.
void MakeHard(Rows* rows) {
  for (int64_t r = 0; r < rows->rows; ++r) {
    for (int64_t c = 0; c < rows->cols; ++c) {
      float& x = rows->At(r)[c];
      switch (r % 12) {
        case 1: x = x * 0.01f + 5; break;                   // all positive, far from 0
        case 2: x = -1 - x * x; break;                      // all negative
        case 3: x = c % 48 == 7 ? 300 * x : x; break;       // outliers
        case 4: x = static_cast<float>(c / 16 % 3); break;  // constant
        case 5: x = x * 1e-6f; break;                       // subnormal halves
        case 6: x = x * 1e5f; break;                        // saturates
        case 7: x = c % 5 == 0 ? x * 5e36f : x; break;      // sums that overflow
        case 8: x = 0; break;
        case 9: x = std::round(x * 4) / 4 + (c % 2 ? 0 : -0.0f); break;  // ties
        case 10: x = x * 1e-3f; break;
        default: break;
      }
    }
  }
}

struct Setting {
  explicit Setting(const Case& c, int64_t tokens = 77, uint32_t seed = 1)
      : model(c.kv_heads, c.head_dim, 2), keys_and_values(model.geometry, tokens, seed) {
    const KvCalibrationPtr calibration = NewKvCalibration(model.geometry);
    const KvTokens seen(model.geometry, 256, seed + 10);
    for (int32_t layer = 0; layer < 2; ++layer) {
      EXPECT_EQ(syl_kv_calibration_add_f32(calibration.get(), layer, seen.k.At(0), seen.k.stride, seen.v.At(0),
                                           seen.v.stride, 256),
                SYL_OK);
      EXPECT_EQ(syl_kv_calibration_add_queries_f32(calibration.get(), layer, seen.q.At(0), seen.q.stride, 256), SYL_OK);
    }
    plan = NewKvPlan(model.geometry, c.Options(), calibration.get());
    MakeHard(&keys_and_values.k);
    MakeHard(&keys_and_values.v);
  }

  // What layer 1 should have of a token.
  const KvReferenceToken& Want(int32_t what, int64_t token) const {
    if (want_[what].empty()) {
      const KvReference reference(*plan->plan);
      const Rows& rows = what == SYL_KV_KEYS ? keys_and_values.k : keys_and_values.v;
      for (int64_t t = 0; t < rows.rows; ++t) want_[what].push_back(reference.Token(1, what, rows.At(t)));
    }
    return want_[what][token];
  }

  KvModel model;
  KvTokens keys_and_values;
  KvPlanPtr plan{nullptr, &syl_kv_plan_free};

 private:
  mutable std::vector<KvReferenceToken> want_[2];
};

// Sinks of a text: of its `told` tokens, those that append is told of.
std::vector<uint8_t> SinkMask(int64_t tokens, const std::vector<int64_t>& told) {
  std::vector<uint8_t> mask(static_cast<size_t>(tokens));
  for (const int64_t token : told) mask[token] = 1;
  return mask;
}

// Packed tiles, halves of the window and sinks of layer 1 are what the reference says.
void ExpectBytes(const Setting& setting, const syl_kv_sequence& sequence, const std::vector<uint8_t>& mask) {
  const KvPlan& plan = *setting.plan->plan;
  const KvReference reference(plan);
  const int32_t layer = 1;
  const int64_t tokens = sequence.lengths[layer], d = plan.geometry.head_dim, heads = plan.geometry.kv_heads;
  const sylvester::KvHalves& halves = sequence.halves[layer];
  std::vector<KvReferenceToken> keys, values;
  std::vector<int64_t> sinks;
  for (int64_t t = 0; t < tokens; ++t) {
    keys.push_back(setting.Want(SYL_KV_KEYS, t));
    values.push_back(setting.Want(SYL_KV_VALUES, t));
    if (t < plan.options.first_tokens || mask[t] != 0) sinks.push_back(t);
  }
  ASSERT_EQ(halves.sink_tokens, sinks);
  for (size_t i = 0; i < sinks.size(); ++i) {
    for (int64_t c = 0; c < heads * d; ++c) {
      const size_t at = (c / d * sequence.sink_capacity + i) * d + c % d;
      ASSERT_EQ(halves.sink_keys[at], keys[sinks[i]].halves[c]) << "sink " << sinks[i] << " channel " << c;
      ASSERT_EQ(halves.sink_values[at], values[sinks[i]].halves[c]) << "sink " << sinks[i] << " channel " << c;
    }
    // In a tile a sink is nothing.
    for (KvReferenceToken* token : {&keys[sinks[i]], &values[sinks[i]]}) {
      token->codes.clear();
      token->scales.clear();
      token->zeros.clear();
    }
  }
  const int64_t packed = plan.PackedTiles(tokens);
  ASSERT_GE(static_cast<int64_t>(sequence.tiles.size()), packed);
  for (int64_t tile = 0; tile < packed; ++tile) {
    const int64_t first = 16 * tile, end = std::min(tokens, first + 16);
    const std::vector<uint8_t> want = reference.Tile(layer, {keys.begin() + first, keys.begin() + end},
                                                     {values.begin() + first, values.begin() + end});
    const uint8_t* got = sequence.Tile(layer, tile);
    for (size_t b = 0; b < want.size(); ++b) {
      ASSERT_EQ(static_cast<int>(got[b]), static_cast<int>(want[b])) << "tile " << tile << " byte " << b;
    }
  }
  for (int64_t t = 16 * packed; t < tokens; ++t) {
    const int64_t tile = t / 16 % sequence.ring_tiles;
    for (int64_t c = 0; c < heads * d; ++c) {
      const size_t at = (c / d * sequence.ring_tiles + tile) * d * 16;
      const uint16_t key = halves.ring_keys[at + c % d * 16 + t % 16];
      const uint16_t value = halves.ring_values[at + t % 16 * d + c % d];
      ASSERT_EQ(key, keys[t].halves[c]) << "token " << t << " channel " << c;
      ASSERT_EQ(value, values[t].halves[c]) << "token " << t << " channel " << c;
    }
  }
}

void ExpectCase(const Case& c, int64_t tokens = 77, const std::vector<int64_t>& told = {}) {
  SCOPED_TRACE(Describe(c));
  const Setting setting(c, tokens);
  const std::vector<uint8_t> mask = SinkMask(tokens, told);
  for (const std::string& tier : SupportedTiers()) {
    SCOPED_TRACE(tier);
    const TierGuard guard(tier);
    KvText text(setting.plan.get(), setting.model.geometry, tokens, tokens);
    text.Append(setting.keys_and_values, 0, tokens, mask.data());
    ExpectBytes(setting, *text.sequence(), mask);
    if (testing::Test::HasFatalFailure()) return;
  }
}

TEST(KvAppend, TilesOfAllBitsAndHeadSizes) {
  for (const int64_t head_dim : {16, 64, 80, 96, 128, 192, 256}) {
    for (const int32_t bits_keys : {2, 3, 4, 8}) {
      Case c;
      c.head_dim = head_dim;
      c.bits_keys = bits_keys;
      c.bits_values = bits_keys == 8 ? 3 : bits_keys == 3 ? 8 : 6 - bits_keys;
      c.rotate_keys = c.rotate_values = head_dim == 16 ? SYL_KV_ROTATE_NONE : SYL_KV_ROTATE_HEAD;
      ExpectCase(c, 37);
    }
  }
}

TEST(KvAppend, GroupsThatDoAndDoNotDivide) {
  for (const int64_t head_dim : {64, 80, 192}) {
    for (const int32_t group : {16, 32, 48, 64, 96, 128, 256}) {
      Case c;
      c.head_dim = head_dim;
      c.group_keys = group;
      c.group_values = 272 - group;
      c.bits_keys = 3;
      c.balance = 1;
      ExpectCase(c, 29);
    }
  }
}

TEST(KvAppend, EveryQuantizer) {
  for (const int32_t bits : {2, 3, 4, 8}) {
    for (const int32_t clip_mode : {SYL_KV_CLIP_RANGE, SYL_KV_CLIP_MIDPOINT}) {
      for (const int32_t integer_zero : {0, 1}) {
        for (const float clip : {1.0f, 0.8f, 1e-3f}) {
          Case c;
          c.kv_heads = 1;
          c.group_keys = 16;
          c.group_values = 48;
          c.bits_keys = c.bits_values = bits;
          c.clip_mode = clip_mode;
          c.integer_zero = integer_zero;
          c.clip = clip;
          ExpectCase(c, 24);
        }
      }
    }
    if (bits == 8) continue;
    for (const int32_t group : {16, 64, 128}) {
      Case c;
      c.head_dim = 128;
      c.grid = SYL_KV_LLOYD_MAX;
      c.bits_keys = c.bits_values = bits;
      c.group_keys = c.group_values = group;
      ExpectCase(c, 24);
    }
  }
}

TEST(KvAppend, BeforeAndAfterRope) {
  for (const int32_t window : {0, 16, 32}) {
    for (const int32_t sort : {0, 1}) {
      for (const int32_t rotate : {SYL_KV_ROTATE_NONE, SYL_KV_ROTATE_HEAD, SYL_KV_ROTATE_GROUP}) {
        for (const int32_t grid : {SYL_KV_UNIFORM, SYL_KV_LLOYD_MAX}) {
          Case c;
          c.kv_heads = 3;
          c.rope = SYL_KV_PRE_ROPE;
          c.rotate_keys = rotate;
          c.rotate_values = SYL_KV_ROTATE_HEAD;
          c.sort = sort;
          c.center = SYL_KV_CENTER_KEYS + SYL_KV_CENTER_VALUES;
          c.grid = grid;
          c.bits_keys = window == 16 ? 3 : 2;
          c.group_keys = 80;
          c.window = window;
          c.first_tokens = 3;
          c.max_sinks = 4;
          ExpectCase(c, 77, {1, 5, 40, 70});
        }
      }
    }
    Case c;
    c.rotate_keys = c.rotate_values = SYL_KV_ROTATE_HEAD;
    c.center = SYL_KV_CENTER_KEYS;
    c.balance = 1;
    c.clip_mode = SYL_KV_CLIP_MIDPOINT;
    c.clip = 0.8f;
    c.first_tokens = 4;
    c.max_sinks = 2;
    c.window = window;
    ExpectCase(c, 77, {2, 17, 76});
  }
}

// ---- How a text is cut --------------------------------------------------------------------------------------------

std::vector<Case> CutCases() {
  Case packed;
  packed.bits_keys = 3;
  packed.bits_values = 3;
  packed.rotate_keys = packed.rotate_values = SYL_KV_ROTATE_HEAD;
  packed.max_sinks = 3;
  packed.balance = 1;
  Case window = packed;
  window.window = 32;
  window.first_tokens = 4;
  window.bits_values = 4;
  Case sorted = window;
  sorted.rope = SYL_KV_PRE_ROPE;
  sorted.rotate_keys = SYL_KV_ROTATE_GROUP;
  sorted.sort = 1;
  sorted.balance = 0;
  sorted.center = 3;
  sorted.bits_keys = 2;
  sorted.window = 16;
  return {packed, window, sorted};
}

TEST(KvAppend, CutsAndThreadsMakeNoDifference) {
  const int64_t tokens = 150;
  const std::vector<uint8_t> mask = SinkMask(tokens, {9, 64, 149});
  for (const Case& c : CutCases()) {
    SCOPED_TRACE(Describe(c));
    const Setting setting(c, tokens);
    for (const int32_t threads : {1, 2, 4}) {
      const Pool pool = NewPool(threads);
      for (const int64_t cut : {1, 3, 16, 17, 50, 150}) {
        SCOPED_TRACE("threads " + std::to_string(threads) + " cut " + std::to_string(cut));
        KvText text(setting.plan.get(), setting.model.geometry, tokens, cut);
        for (int64_t first = 0; first < tokens; first += cut) {
          text.Append(setting.keys_and_values, first, std::min(cut, tokens - first), mask.data() + first, pool.get());
        }
        ExpectBytes(setting, *text.sequence(), mask);
        if (testing::Test::HasFatalFailure()) return;
      }
    }
  }
}

// Sequences of a batch are as if they were alone; strides do not matter.
TEST(KvAppend, BatchesAreSequencesByThemselves) {
  for (const Case& c : CutCases()) {
    SCOPED_TRACE(Describe(c));
    const int64_t tokens = 90;
    const Setting setting(c, tokens);
    const std::vector<uint8_t> mask = SinkMask(tokens, {20, 21, 89});
    KvText text(setting.plan.get(), setting.model.geometry, 4 * tokens, tokens);
    const KvSequencePtr others[] = {text.NewSequence(), text.NewSequence()};
    syl_kv_sequence* const sequences[] = {others[0].get(), text.sequence(), others[1].get()};
    const Pool pool = NewPool(3);
    const int64_t steps[][3] = {{5, 0, 16}, {0, 7, 1}, {33, 83, 0}, {1, 0, 73}, {51, 0, 0}};
    int64_t done[3] = {};
    for (const auto& rows : steps) {
      const int64_t total = rows[0] + rows[1] + rows[2], cols = setting.model.Channels();
      Rows k(total, cols, 1, 1, 5), v(total, cols, 1, 1, 1);
      std::vector<uint8_t> sinks;
      int64_t r = 0;
      for (int i = 0; i < 3; ++i) {
        for (int64_t j = 0; j < rows[i]; ++j, ++r, ++done[i]) {
          std::copy_n(setting.keys_and_values.k.At(done[i]), cols, k.At(r));
          std::copy_n(setting.keys_and_values.v.At(done[i]), cols, v.At(r));
          sinks.push_back(mask[done[i]]);
        }
      }
      const syl_kv_batch batch = {sizeof(batch), 3, sequences, rows};
      int64_t bytes = 0;
      ASSERT_EQ(syl_kv_append_workspace(&batch, 3, &bytes), SYL_OK);
      std::vector<uint8_t> workspace(static_cast<size_t>(bytes));
      for (int32_t layer = 0; layer < 2; ++layer) {
        ASSERT_EQ(syl_kv_append_f32(&batch, layer, k.At(0), k.stride, v.At(0), v.stride, sinks.data(), workspace.data(),
                                    bytes, pool.get()),
                  SYL_OK)
            << syl_last_error();
      }
    }
    for (int i = 0; i < 3; ++i) {
      ASSERT_EQ(sequences[i]->lengths[1], tokens);
      ExpectBytes(setting, *sequences[i], mask);
    }
  }
}

// ---- Refusals -----------------------------------------------------------------------------------------------------

// Everything of a sequence that append may write.
std::vector<uint8_t> Everything(const syl_kv_sequence& sequence) {
  std::vector<uint8_t> bytes;
  const auto add = [&](const void* data, size_t size) {
    const auto* first = static_cast<const uint8_t*>(data);
    bytes.insert(bytes.end(), first, first + size);
  };
  const syl_kv_cache& cache = *sequence.cache;
  add(cache.arena, static_cast<size_t>(cache.pages * cache.page_bytes));
  add(sequence.tiles.data(), sequence.tiles.size() * sizeof(sequence.tiles[0]));
  add(sequence.lengths.data(), sequence.lengths.size() * sizeof(sequence.lengths[0]));
  for (const sylvester::KvHalves& halves : sequence.halves) {
    for (const auto* of : {&halves.ring_keys, &halves.ring_values, &halves.sink_keys, &halves.sink_values}) {
      add(of->data(), of->size() * 2);
    }
    add(halves.sink_tokens.data(), halves.sink_tokens.size() * 8);
  }
  return bytes;
}

TEST(KvAppend, NumbersThatAreNotFiniteAreRefusedEverywhere) {
  Case c = CutCases()[1];
  c.kv_heads = 1;
  const Setting setting(c, 40);
  const int64_t rows = 19, cols = setting.model.Channels();
  KvText text(setting.plan.get(), setting.model.geometry, 40, rows);
  text.Append(setting.keys_and_values, 0, rows);
  const std::vector<uint8_t> before = Everything(*text.sequence());
  syl_kv_sequence* sequence = text.sequence();
  const syl_kv_batch batch = {sizeof(batch), 1, &sequence, &rows};
  int64_t bytes = 0;
  ASSERT_EQ(syl_kv_append_workspace(&batch, 1, &bytes), SYL_OK);
  std::vector<uint8_t> workspace(static_cast<size_t>(bytes));
  for (const std::string& tier : SupportedTiers()) {
    const TierGuard guard(tier);
    Rows k(rows, cols, 1), v(rows, cols, 2);
    for (Rows* in : {&k, &v}) {
      for (int64_t at = 0; at < rows * cols; ++at) {
        float& x = in->At(at / cols)[at % cols];
        const float kept = x;
        x = at % 3 == 0 ? kNaN : at % 3 == 1 ? kInfinity : -kInfinity;
        ASSERT_EQ(syl_kv_append_f32(&batch, 1, k.At(0), k.stride, v.At(0), v.stride, nullptr, workspace.data(), bytes,
                                    nullptr),
                  SYL_BAD_DATA);
        const std::string where =
            std::string(in == &k ? "k[" : "v[") + std::to_string(at / cols) + "][" + std::to_string(at % cols) + "]";
        ASSERT_NE(std::string(syl_last_error()).find(where), std::string::npos) << syl_last_error();
        x = kept;
      }
    }
  }
  EXPECT_EQ(Everything(*sequence), before);
}

TEST(KvAppend, ErrorsNameTheArgumentAndChangeNothing) {
  Case c = CutCases()[1];
  const Setting setting(c, 40);
  const int64_t cols = setting.model.Channels();
  KvText text(setting.plan.get(), setting.model.geometry, 40, 24);
  text.Append(setting.keys_and_values, 0, 20, SinkMask(20, {7, 8}).data());
  const std::vector<uint8_t> before = Everything(*text.sequence());
  syl_kv_sequence* sequence = text.sequence();
  int64_t rows = 2;
  syl_kv_batch batch = {sizeof(batch), 1, &sequence, &rows};
  int64_t bytes = 0;
  ASSERT_EQ(syl_kv_append_workspace(&batch, 1, &bytes), SYL_OK);
  // Room behind each other, so that they can be made to overlap.
  std::vector<float> memory(static_cast<size_t>(bytes / 4 + 8 * cols));
  float* workspace = memory.data() + 4 * cols;
  const float* x = memory.data();
  const auto append = [&](int32_t layer, const float* k, int64_t k_stride, const float* v, int64_t v_stride,
                          const uint8_t* sinks, void* ws, int64_t ws_bytes) {
    return syl_kv_append_f32(&batch, layer, k, k_stride, v, v_stride, sinks, ws, ws_bytes, nullptr);
  };
  EXPECT_REFUSED(append(-1, x, cols, x, cols, nullptr, workspace, bytes), SYL_BAD_VALUE, "layer is -1");
  EXPECT_REFUSED(append(2, x, cols, x, cols, nullptr, workspace, bytes), SYL_BAD_VALUE, "layer is 2");
  EXPECT_REFUSED(append(0, nullptr, cols, x, cols, nullptr, workspace, bytes), SYL_NULL_ARGUMENT, "k is NULL");
  EXPECT_REFUSED(append(0, x, cols, nullptr, cols, nullptr, workspace, bytes), SYL_NULL_ARGUMENT, "v is NULL");
  EXPECT_REFUSED(append(0, x, cols - 1, x, cols, nullptr, workspace, bytes), SYL_BAD_SHAPE, "k_stride");
  EXPECT_REFUSED(append(0, x, cols, x, cols - 1, nullptr, workspace, bytes), SYL_BAD_SHAPE, "v_stride");
  EXPECT_REFUSED(append(0, x, INT64_MAX, x, cols, nullptr, workspace, bytes), SYL_BAD_SHAPE, "k_stride");
  EXPECT_REFUSED(append(0, x, cols, x, cols, nullptr, nullptr, bytes), SYL_NULL_ARGUMENT, "workspace is NULL");
  EXPECT_REFUSED(append(0, x, cols, x, cols, nullptr, workspace, bytes - 1), SYL_WORKSPACE, "workspace_bytes");
  const float* last = workspace + bytes / 4 - 1;
  EXPECT_REFUSED(append(0, last, cols, x, cols, nullptr, workspace, bytes), SYL_OVERLAP, "overlaps k");
  EXPECT_REFUSED(append(0, x, cols, last, cols, nullptr, workspace, bytes), SYL_OVERLAP, "overlaps v");
  const auto* mask_inside = reinterpret_cast<const uint8_t*>(workspace);
  EXPECT_REFUSED(append(0, x, cols, x, cols, mask_inside, workspace, bytes), SYL_OVERLAP, "overlaps sinks");
  // One more may be told of, and two are.
  const uint8_t two[] = {1, 2};
  EXPECT_REFUSED(append(0, x, cols, x, cols, two, workspace, bytes), SYL_BAD_VALUE, "sinks");
  rows = 25;
  EXPECT_REFUSED(append(0, x, cols, x, cols, nullptr, workspace, bytes), SYL_BAD_VALUE, "rows[0] is 25");
  rows = -1;
  EXPECT_REFUSED(append(0, x, cols, x, cols, nullptr, workspace, bytes), SYL_BAD_VALUE, "rows[0] is -1");
  rows = 2;
  EXPECT_REFUSED(syl_kv_append_f32(nullptr, 0, x, cols, x, cols, nullptr, workspace, bytes, nullptr), SYL_NULL_ARGUMENT,
                 "batch");
  EXPECT_REFUSED(syl_kv_append_workspace(nullptr, 1, &bytes), SYL_NULL_ARGUMENT, "batch");
  EXPECT_REFUSED(syl_kv_append_workspace(&batch, 0, &bytes), SYL_BAD_VALUE, "threads");
  EXPECT_REFUSED(syl_kv_append_workspace(&batch, 1, nullptr), SYL_NULL_ARGUMENT, "bytes");
  EXPECT_EQ(Everything(*sequence), before);
  rows = 0;
  EXPECT_EQ(append(0, x, cols, x, cols, nullptr, workspace, bytes), SYL_OK);
  EXPECT_EQ(Everything(*sequence), before);
}

TEST(KvAppend, WithoutAFreePageNothingChanges) {
  for (const Case& c : CutCases()) {
    const Setting setting(c, 200);
    syl_kv_cache_options options = {sizeof(options), 16, 3, 200, nullptr, 0};
    syl_kv_cache* cache = nullptr;
    ASSERT_EQ(syl_kv_cache_new(setting.plan.get(), &options, &cache), SYL_OK) << syl_last_error();
    syl_kv_sequence* sequence = nullptr;
    ASSERT_EQ(syl_kv_sequence_new(cache, &sequence), SYL_OK);
    int64_t rows = 40, bytes = 0;
    const syl_kv_batch batch = {sizeof(batch), 1, &sequence, &rows};
    ASSERT_EQ(syl_kv_append_workspace(&batch, 1, &bytes), SYL_OK);
    std::vector<uint8_t> workspace(static_cast<size_t>(bytes)), mask(200);
    mask[50] = 1;
    const KvTokens& tokens = setting.keys_and_values;
    const auto append = [&] {
      return syl_kv_append_f32(&batch, 0, tokens.k.At(0), tokens.k.stride, tokens.v.At(0), tokens.v.stride, mask.data(),
                               workspace.data(), bytes, nullptr);
    };
    ASSERT_EQ(append(), SYL_OK) << syl_last_error();
    const std::vector<uint8_t> before = Everything(*sequence);
    rows = 120;
    EXPECT_REFUSED(append(), SYL_OUT_OF_MEMORY, "pages");
    EXPECT_EQ(Everything(*sequence), before);
    syl_kv_sequence_free(sequence);
    EXPECT_EQ(syl_kv_cache_free(cache), SYL_OK);
  }
}

}  // namespace
