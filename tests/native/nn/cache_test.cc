#include "tests/native/nn/float_cache.h"

namespace {

using namespace sylvester_test;

double Element(const std::vector<uint8_t>& bytes, syl_dtype type, int64_t index) {
  if (type == SYL_F32) {
    float value;
    std::memcpy(&value, &bytes[static_cast<size_t>(index * 4)], sizeof(value));
    return value;
  }
  uint16_t half;
  std::memcpy(&half, &bytes[static_cast<size_t>(index * 2)], sizeof(half));
  return HalfValue(half);
}

int64_t KeyIndex(const syl_attention& a, int64_t head, int64_t token, int64_t i) {
  return ((head * (a.capacity / 16) + token / 16) * a.head_dim + i) * 16 + token % 16;
}

int64_t ValueIndex(const syl_attention& a, int64_t head, int64_t token, int64_t i) {
  return (head * a.capacity + token) * a.head_dim + i;
}

TEST(Cache, SizeIsThatOfItsElements) {
  int64_t keys = 0, values = 0;
  syl_attention shape = Shape(9, 3, 64, 8192);
  ASSERT_EQ(syl_nn_cache_size(&shape, &keys, &values), SYL_OK);
  EXPECT_EQ(keys, 3 * 64 * 8192 * 2);
  EXPECT_EQ(values, keys);
  shape.cache_type = SYL_F32;
  shape.capacity = int64_t{1} << 33;
  ASSERT_EQ(syl_nn_cache_size(&shape, &keys, &values), SYL_OK);
  EXPECT_EQ(keys, (int64_t{3} * 64 * 4) << 33);
  EXPECT_EQ(values, keys);
}

TEST(Cache, AppendRoundsAndPlacesEveryElement) {
  for (const std::string& tier : SupportedTiers()) {
    const TierGuard guard(tier);
    for (const syl_dtype type : {SYL_F16, SYL_F32}) {
      for (const int64_t dim : {8, 24, 64, 80, 512}) {
        const syl_attention shape = Shape(4, 2, dim, 64, type);
        SCOPED_TRACE(tier + " " + Describe(shape));
        const int64_t rows = 37;
        const Rows k(rows, 2 * dim, 1), v(rows, 2 * dim, 2);
        FloatCache cache(shape, k, v, rows);
        for (int64_t head = 0; head < 2; ++head) {
          for (int64_t token = 0; token < shape.capacity; ++token) {
            for (int64_t i = 0; i < dim; ++i) {
              const double key = Element(cache.keys(), type, KeyIndex(shape, head, token, i));
              const double value = Element(cache.values(), type, ValueIndex(shape, head, token, i));
              if (token >= rows) {  // untouched poison
                ASSERT_TRUE(std::isnan(key) && std::isnan(value)) << "token " << token << " dimension " << i;
                continue;
              }
              const double x = k.At(token)[head * dim + i], y = v.At(token)[head * dim + i];
              ASSERT_EQ(key, type == SYL_F16 ? RoundToHalf(x) : x) << "token " << token << " dimension " << i;
              ASSERT_EQ(value, type == SYL_F16 ? RoundToHalf(y) : y) << "token " << token << " dimension " << i;
            }
          }
        }
      }
    }
  }
}

// Ties, the ends of the normal and subnormal ranges, both signs.
TEST(Cache, HalvesRoundToNearestEven) {
  std::vector<float> special;
  for (int h = 0; h < 0x7c00; ++h) {
    const double low = HalfValue(static_cast<uint16_t>(h));
    const double high = h + 1 < 0x7c00 ? HalfValue(static_cast<uint16_t>(h + 1)) : 65536.0;
    const auto middle = static_cast<float>((low + high) / 2);  // exact
    special.insert(special.end(), {static_cast<float>(low), std::nextafter(middle, 0.0f), middle,
                                   std::nextafter(middle, std::numeric_limits<float>::infinity())});
  }
  special.insert(special.end(), {1e-30f, 1e-45f, 3e38f, std::numeric_limits<float>::infinity(), kNaN, 0.0f});
  const auto count = static_cast<int64_t>(special.size());
  const int64_t dim = 512, tokens = (count + dim - 1) / dim;
  const syl_attention shape = Shape(1, 1, dim, (tokens + 15) / 16 * 16);
  for (const std::string& tier : SupportedTiers()) {
    const TierGuard guard(tier);
    for (const float sign : {1.0f, -1.0f}) {
      Rows k(tokens, dim, 1), v(tokens, dim, 1);
      for (int64_t n = 0; n < count; ++n) {
        k.At(n / dim)[n % dim] = v.At(n / dim)[n % dim] = sign * special[static_cast<size_t>(n)];
      }
      FloatCache cache(shape, k, v, tokens);
      for (int64_t n = 0; n < count; ++n) {
        const float x = sign * special[static_cast<size_t>(n)];
        const double want = RoundToHalf(x);
        for (const double got : {Element(cache.keys(), SYL_F16, KeyIndex(shape, 0, n / dim, n % dim)),
                                 Element(cache.values(), SYL_F16, ValueIndex(shape, 0, n / dim, n % dim))}) {
          if (std::isnan(x)) {
            ASSERT_TRUE(std::isnan(got)) << tier;
          } else {
            ASSERT_EQ(got, want) << tier << " " << x;
            ASSERT_EQ(std::signbit(got), std::signbit(x)) << tier << " " << x;
          }
        }
      }
    }
  }
}

TEST(Cache, ChunksAndThreadsMakeNoDifference) {
  for (const syl_dtype type : {SYL_F16, SYL_F32}) {
    const syl_attention shape = Shape(3, 3, 40, 256, type);
    const int64_t rows = 201;
    const Rows k(rows, 3 * 40, 5), v(rows, 3 * 40, 6);
    FloatCache whole(shape, k, v, rows);
    for (const int32_t threads : {1, 2, 4}) {
      const Pool pool = NewPool(threads);
      for (const int64_t chunk : {1, 7, 16, 50, 201}) {
        FloatCache chunked(shape, k, v, 0);
        for (int64_t first = 0; first < rows; first += chunk) {
          chunked.Append(k, v, first, std::min(chunk, rows - first), pool.get());
        }
        EXPECT_EQ(chunked.keys(), whole.keys()) << "threads " << threads << " chunk " << chunk;
        EXPECT_EQ(chunked.values(), whole.values()) << "threads " << threads << " chunk " << chunk;
      }
    }
  }
}

TEST(Cache, ErrorsNameTheArgument) {
  const syl_attention good = Shape(4, 2, 16, 64);
  const Rows k(70, 32, 1), v(70, 32, 2);
  FloatCache cache(good, k, v, 0);
  const std::vector<uint8_t> keys = cache.keys(), values = cache.values();
  const auto append = [&](const syl_attention* shape, const float* k_, int64_t k_stride, const float* v_,
                          int64_t v_stride, int64_t first, int64_t rows, void* keys_, void* values_) {
    return syl_nn_cache_append_f32(shape, k_, k_stride, v_, v_stride, first, rows, keys_, values_, nullptr);
  };
  const auto fails = [&](syl_status want, const char* argument, syl_status got) {
    EXPECT_EQ(got, want) << argument;
    EXPECT_NE(std::string(syl_last_error()).find(argument), std::string::npos) << argument << ": " << syl_last_error();
  };
  void *keys_data = cache.keys().data(), *values_data = cache.values().data();
  const float *k0 = k.At(0), *v0 = v.At(0);
  fails(SYL_NULL_ARGUMENT, "attention", append(nullptr, k0, 32, v0, 32, 0, 1, keys_data, values_data));
  fails(SYL_NULL_ARGUMENT, "k is", append(&good, nullptr, 32, v0, 32, 0, 1, keys_data, values_data));
  fails(SYL_NULL_ARGUMENT, "v is", append(&good, k0, 32, nullptr, 32, 0, 1, keys_data, values_data));
  fails(SYL_NULL_ARGUMENT, "keys", append(&good, k0, 32, v0, 32, 0, 1, nullptr, values_data));
  fails(SYL_NULL_ARGUMENT, "values", append(&good, k0, 32, v0, 32, 0, 1, keys_data, nullptr));
  fails(SYL_BAD_VALUE, "first", append(&good, k0, 32, v0, 32, -1, 1, keys_data, values_data));
  fails(SYL_BAD_VALUE, "first", append(&good, k0, 32, v0, 32, 65, 0, keys_data, values_data));
  fails(SYL_BAD_VALUE, "rows", append(&good, k0, 32, v0, 32, 0, -1, keys_data, values_data));
  fails(SYL_BAD_VALUE, "rows", append(&good, k0, 32, v0, 32, 60, 5, keys_data, values_data));
  fails(SYL_BAD_VALUE, "rows", append(&good, k0, 32, v0, 32, 1, INT64_MAX, keys_data, values_data));
  fails(SYL_BAD_SHAPE, "k_stride", append(&good, k0, 31, v0, 32, 0, 1, keys_data, values_data));
  fails(SYL_BAD_SHAPE, "v_stride", append(&good, k0, 32, v0, 31, 0, 1, keys_data, values_data));
  fails(SYL_BAD_SHAPE, "k_stride", append(&good, k0, INT64_MAX, v0, 32, 0, 3, keys_data, values_data));
  fails(SYL_BAD_SHAPE, "v_stride", append(&good, k0, 32, v0, INT64_MAX, 0, 3, keys_data, values_data));
  const auto* keys_as_floats = static_cast<const float*>(keys_data);
  const auto* values_as_floats = static_cast<const float*>(values_data);
  fails(SYL_OVERLAP, "keys overlaps k", append(&good, keys_as_floats, 32, v0, 32, 0, 1, keys_data, values_data));
  fails(SYL_OVERLAP, "keys overlaps v", append(&good, k0, 32, keys_as_floats, 32, 0, 1, keys_data, values_data));
  fails(SYL_OVERLAP, "values overlaps k", append(&good, values_as_floats, 32, v0, 32, 0, 1, keys_data, values_data));
  fails(SYL_OVERLAP, "values overlaps v", append(&good, k0, 32, values_as_floats, 32, 0, 1, keys_data, values_data));
  fails(SYL_OVERLAP, "values overlaps keys", append(&good, k0, 32, v0, 32, 0, 1, keys_data, keys_data));
  EXPECT_EQ(cache.keys(), keys);
  EXPECT_EQ(cache.values(), values);
  EXPECT_EQ(append(&good, k0, 32, v0, 32, 64, 0, keys_data, values_data), SYL_OK);
  EXPECT_EQ(cache.keys(), keys);
}

// Every function that takes a shape refuses a bad one and names the field.
TEST(Cache, BadShapesAreRefusedAndNamed) {
  const Rows x(1, 64, 1);
  std::vector<uint8_t> cache(1 << 16), workspace(1 << 16);
  std::vector<float> y(64);
  const auto refuses = [&](syl_status want, const char* field, void (*change)(syl_attention*)) {
    syl_attention shape = Shape(4, 2, 16, 64);
    change(&shape);
    int64_t bytes = 77, more = 77;
    const syl_status statuses[] = {
        syl_nn_cache_size(&shape, &bytes, &more),
        syl_nn_cache_append_f32(&shape, x.At(0), 64, x.At(0), 64, 0, 1, cache.data(), cache.data() + (1 << 15),
                                nullptr),
        syl_nn_attention_workspace(&shape, 1, 1, &bytes),
        syl_nn_attention_f32(&shape, x.At(0), 64, 0, 1, cache.data(), cache.data(), 1, y.data(), 64, workspace.data(),
                             static_cast<int64_t>(workspace.size()), nullptr)};
    for (const syl_status status : statuses) {
      EXPECT_EQ(status, want) << field;
      EXPECT_NE(std::string(syl_last_error()).find(field), std::string::npos) << field << ": " << syl_last_error();
    }
    EXPECT_EQ(bytes, 77);
    EXPECT_EQ(more, 77);
  };
  refuses(SYL_BAD_VALUE, "struct_size", [](syl_attention* a) { a->struct_size -= 4; });
  refuses(SYL_BAD_VALUE, "cache_type", [](syl_attention* a) { a->cache_type = SYL_BF16; });
  refuses(SYL_BAD_VALUE, "kv_heads", [](syl_attention* a) { a->kv_heads = 0; });
  refuses(SYL_BAD_VALUE, "q_heads", [](syl_attention* a) { a->q_heads = -4; });
  refuses(SYL_BAD_SHAPE, "q_heads", [](syl_attention* a) { a->q_heads = 5; });
  refuses(SYL_BAD_SHAPE, "head_dim", [](syl_attention* a) { a->head_dim = 12; });
  refuses(SYL_BAD_SHAPE, "head_dim", [](syl_attention* a) { a->head_dim = 520; });
  refuses(SYL_BAD_SHAPE, "head_dim", [](syl_attention* a) { a->head_dim = 0; });
  refuses(SYL_BAD_SHAPE, "capacity", [](syl_attention* a) { a->capacity = 0; });
  refuses(SYL_BAD_SHAPE, "capacity", [](syl_attention* a) { a->capacity = 70; });
  refuses(SYL_BAD_SHAPE, "capacity", [](syl_attention* a) { a->capacity = INT64_MAX / 16 * 16; });
  refuses(SYL_BAD_SHAPE, "capacity", [](syl_attention* a) {
    a->q_heads = a->kv_heads = 65536;
    a->head_dim = 512;
    a->capacity = int64_t{1} << 40;
  });
  refuses(SYL_BAD_VALUE, "window", [](syl_attention* a) { a->window = -1; });
  refuses(SYL_BAD_VALUE, "window", [](syl_attention* a) {
    a->window = 4;
    a->causal = 0;
  });
  refuses(SYL_BAD_VALUE, "causal", [](syl_attention* a) { a->causal = 2; });
  refuses(SYL_BAD_VALUE, "scale", [](syl_attention* a) { a->scale = kNaN; });
  refuses(SYL_BAD_VALUE, "soft_cap", [](syl_attention* a) { a->soft_cap = -1; });
  refuses(SYL_BAD_VALUE, "soft_cap", [](syl_attention* a) { a->soft_cap = std::numeric_limits<float>::infinity(); });
}

}  // namespace
