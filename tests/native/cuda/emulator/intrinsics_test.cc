// Functions of one thread, against plain loops and the formats' definitions. They are host functions here, so that no
// kernel is needed.
#include <algorithm>
#include <cfenv>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "tests/native/cuda/emulator/emulator_testing.h"

namespace {

using sylvester::BitsOf;
using sylvester::FloatFromBits;

// Words of every weight: sparse, dense, and the corners.
std::vector<uint64_t> Words() {
  std::vector<uint64_t> words = {0,         1, ~uint64_t{0}, uint64_t{1} << 31, uint64_t{1} << 32, uint64_t{1} << 63,
                                 0x7fffffff};
  std::mt19937_64 random(17);
  for (int i = 0; i < 2000; ++i)
    words.push_back(random() >> (i % 64) & (i % 3 == 0 ? random() & random() : ~uint64_t{0}));
  return words;
}

int CountIf(uint64_t x, int bits, bool leading) {
  int count = 0;
  for (int i = bits - 1; i >= 0; --i) {
    const bool set = x >> i & 1;
    if (leading && set) break;
    count += leading || set;
  }
  return count;
}

int FirstSet(uint64_t x, int bits) {
  for (int i = 0; i < bits; ++i) {
    if (x >> i & 1) return i + 1;
  }
  return 0;
}

TEST(Intrinsics, Bits) {
  for (const uint64_t x : Words()) {
    const auto low = static_cast<unsigned>(x);
    ASSERT_EQ(__popc(low), CountIf(low, 32, false)) << x;
    ASSERT_EQ(__popcll(x), CountIf(x, 64, false)) << x;
    ASSERT_EQ(__clz(static_cast<int>(low)), CountIf(low, 32, true)) << x;
    ASSERT_EQ(__clzll(static_cast<long long>(x)), CountIf(x, 64, true)) << x;
    ASSERT_EQ(__ffs(static_cast<int>(low)), FirstSet(low, 32)) << x;
    ASSERT_EQ(__ffsll(static_cast<long long>(x)), FirstSet(x, 64)) << x;
    uint64_t reversed = 0;
    for (int i = 0; i < 64; ++i) reversed |= (x >> i & 1) << (63 - i);
    ASSERT_EQ(__brevll(x), reversed) << x;
    ASSERT_EQ(__brev(static_cast<unsigned>(x >> 32)), static_cast<unsigned>(reversed)) << x;
  }
}

TEST(Intrinsics, BytesAndFunnels) {
  std::mt19937 random(23);
  for (int i = 0; i < 2000; ++i) {
    const unsigned x = static_cast<unsigned>(random()), y = static_cast<unsigned>(random()),
                   s = static_cast<unsigned>(random());
    unsigned bytes[8], permuted = 0;
    for (int b = 0; b < 8; ++b) bytes[b] = (b < 4 ? x >> (8 * b) : y >> (8 * (b - 4))) & 0xff;
    for (int b = 0; b < 4; ++b) {
      const unsigned nibble = s >> (4 * b) & 15;
      permuted += (nibble < 8 ? bytes[nibble] : bytes[nibble - 8] >= 128 ? 255 : 0) << (8 * b);
    }
    ASSERT_EQ(__byte_perm(x, y, s), permuted) << x << ' ' << y << ' ' << s;
    const unsigned shift = s % 32;
    ASSERT_EQ(__funnelshift_l(x, y, s), shift == 0 ? y : y << shift | x >> (32 - shift));
    ASSERT_EQ(__funnelshift_r(x, y, s), shift == 0 ? x : x >> shift | y << (32 - shift));
  }
}

TEST(Intrinsics, Integers) {
  std::mt19937_64 random(29);
  for (int i = 0; i < 2000; ++i) {
    const auto a = static_cast<int>(random()), b = static_cast<int>(random()), c = static_cast<int>(random());
    const auto product = static_cast<int64_t>(a) * b;
    ASSERT_EQ(__mulhi(a, b),
              static_cast<int>(product >= 0 ? product / (int64_t{1} << 32)
                                            : -((-product + ((int64_t{1} << 32) - 1)) / (int64_t{1} << 32))));
    const auto ua = static_cast<unsigned>(a), ub = static_cast<unsigned>(b);
    ASSERT_EQ(__umulhi(ua, ub), static_cast<unsigned>(uint64_t{ua} * ub / (uint64_t{1} << 32)));
    // Schoolbook, in halves.
    const uint64_t x = random(), y = random();
    const uint64_t x0 = x & 0xffffffff, x1 = x >> 32, y0 = y & 0xffffffff, y1 = y >> 32;
    const uint64_t middle = x1 * y0 + (x0 * y0 >> 32), middle_low = (middle & 0xffffffff) + x0 * y1;
    ASSERT_EQ(__umul64hi(x, y), x1 * y1 + (middle >> 32) + (middle_low >> 32));
    int8_t bytes_a[4], bytes_b[4];
    std::memcpy(bytes_a, &a, 4);
    std::memcpy(bytes_b, &b, 4);
    int64_t dot = c;
    for (int j = 0; j < 4; ++j) dot += bytes_a[j] * bytes_b[j];
    ASSERT_EQ(__dp4a(a, b, c), static_cast<int>(static_cast<uint32_t>(dot)));
    ASSERT_EQ(min(a, b), std::min(a, b));
    ASSERT_EQ(max(x, y), std::max(x, y));
  }
}

// What a conversion must give, in double, where the float and both ends are exact.
template <typename T>
T Clamped(double rounded) {
  if (std::isnan(rounded)) return 0;
  return static_cast<T>(std::clamp(rounded, static_cast<double>(std::numeric_limits<T>::min()),
                                   static_cast<double>(std::numeric_limits<T>::max())));
}

double HalfToEven(double x) {
  const double floor = std::floor(x), rest = x - floor;
  if (rest != 0.5) return rest < 0.5 ? floor : floor + 1;
  return std::fmod(floor, 2) == 0 ? floor : floor + 1;
}

TEST(Intrinsics, FloatsToIntegers) {
  std::vector<float> values = {
      0.0f,          -0.0f,          0.5f,           1.5f,          2.5f,          -0.5f, -1.5f,  2147483520.0f,
      2147483648.0f, -2147483648.0f, -2147483904.0f, 4294967040.0f, 4294967296.0f, 1e20f, -1e20f, 1e-40f};
  values.push_back(std::numeric_limits<float>::infinity());
  values.push_back(-std::numeric_limits<float>::infinity());
  values.push_back(std::numeric_limits<float>::quiet_NaN());
  std::mt19937 random(31);
  for (int i = 0; i < 5000; ++i) values.push_back(FloatFromBits(static_cast<uint32_t>(random())));
  for (int i = 0; i < 5000; ++i) values.push_back(static_cast<float>(static_cast<int>(random() % 4001) - 2000) / 4);
  for (const float x : values) {
    const double d = x;
    ASSERT_EQ(__float2int_rn(x), Clamped<int>(HalfToEven(d))) << x;
    ASSERT_EQ(__float2int_rz(x), Clamped<int>(std::trunc(d))) << x;
    ASSERT_EQ(__float2int_rd(x), Clamped<int>(std::floor(d))) << x;
    ASSERT_EQ(__float2int_ru(x), Clamped<int>(std::ceil(d))) << x;
    ASSERT_EQ(__float2uint_rn(x), Clamped<unsigned>(HalfToEven(d))) << x;
    ASSERT_EQ(__float2uint_rz(x), Clamped<unsigned>(std::trunc(d))) << x;
    ASSERT_EQ(__saturatef(x), std::isnan(d) ? 0 : static_cast<float>(std::clamp(d, 0.0, 1.0))) << x;
    ASSERT_EQ(__float_as_uint(x), BitsOf(x));
    ASSERT_EQ(__float_as_uint(__int_as_float(__float_as_int(x))), BitsOf(x));
  }
}

// a + b + rounding error are exact in double for these exponents, so that its rounding to float is the right answer.
TEST(Intrinsics, OneRounding) {
  std::mt19937 random(37);
  std::uniform_real_distribution<float> uniform(-100, 100);
  for (int i = 0; i < 20000; ++i) {
    const float a = uniform(random), b = uniform(random), c = uniform(random);
    const double da = a, db = b;
    ASSERT_EQ(__fadd_rn(a, b), static_cast<float>(da + db));
    ASSERT_EQ(__fsub_rn(a, b), static_cast<float>(da - db));
    ASSERT_EQ(__fmul_rn(a, b), static_cast<float>(da * db));
    // A double's quotient and root are more than twice as wide as a float: rounding twice changes nothing.
    ASSERT_EQ(__fdiv_rn(a, b), static_cast<float>(da / db));
    ASSERT_EQ(__fsqrt_rn(a * a), static_cast<float>(std::sqrt(static_cast<double>(a * a))));
    ASSERT_EQ(__frcp_rn(a), static_cast<float>(1 / da));
    ASSERT_EQ(__fmaf_rn(a, b, c), static_cast<float>(static_cast<long double>(a) * b + c));
    // The product is not rounded: this is the error of a rounded one.
    ASSERT_EQ(__fmaf_rn(a, b, -(a * b)), static_cast<float>(da * db - static_cast<double>(a * b)));
    ASSERT_EQ(__fma_rn(da, db, -(da * db)), 0);  // exact: two floats
    ASSERT_EQ(__dadd_rn(da, db), da + db);
    ASSERT_EQ(__ddiv_rn(da, db), da / db);
  }
}

// ---- 16-bit floats --------------------------------------------------------------------------------------------------

// The value of a finite half by its definition.
double HalfValue(unsigned bits) {
  const int exponent = static_cast<int>(bits >> 10 & 31), fraction = static_cast<int>(bits & 1023);
  const double magnitude = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(fraction + 1024, exponent - 25);
  return bits & 0x8000 ? -magnitude : magnitude;
}

TEST(Intrinsics, Halves) {
  for (unsigned bits = 0; bits < 0x10000; ++bits) {
    const __half h = __ushort_as_half(static_cast<unsigned short>(bits));
    ASSERT_EQ(__half_as_ushort(h), bits);
    const float f = __half2float(h);
    const unsigned magnitude = bits & 0x7fff;
    if (magnitude < 0x7c00) {
      ASSERT_EQ(f, HalfValue(bits)) << bits;
      ASSERT_EQ(std::signbit(f), bits >= 0x8000);
      ASSERT_EQ(__half_as_ushort(__float2half_rn(f)), bits);
      // Halfway to the next goes to the even one; a float beside it to the nearer.
      if (magnitude < 0x7bff && bits < 0x8000) {
        const auto middle = static_cast<float>((HalfValue(bits) + HalfValue(bits + 1)) / 2);
        ASSERT_EQ(__half_as_ushort(__float2half_rn(middle)), bits % 2 == 0 ? bits : bits + 1) << bits;
        ASSERT_EQ(__half_as_ushort(__float2half_rn(std::nextafter(middle, 0.0f))), bits) << bits;
        ASSERT_EQ(__half_as_ushort(__float2half_rn(std::nextafter(middle, 1e9f))), bits + 1) << bits;
      }
    } else if (magnitude == 0x7c00) {
      ASSERT_TRUE(std::isinf(f));
      ASSERT_EQ(__half_as_ushort(__float2half_rn(f)), bits);
    } else {
      ASSERT_EQ(__float_as_uint(f), 0x7fffffffu) << bits;
    }
  }
  EXPECT_EQ(__half_as_ushort(__float2half_rn(65519.0f)), 0x7bff);
  EXPECT_EQ(__half_as_ushort(__float2half_rn(65520.0f)), 0x7c00);
  for (const uint32_t nan : {0x7fc00000u, 0xffc00000u, 0x7f800001u, 0xffffffffu}) {
    EXPECT_EQ(__half_as_ushort(__float2half_rn(FloatFromBits(nan))), 0x7fff);
    EXPECT_EQ(__bfloat16_as_ushort(__float2bfloat16_rn(FloatFromBits(nan))), 0x7fff);
  }
}

TEST(Intrinsics, Bfloat16s) {
  for (unsigned bits = 0; bits < 0x10000; ++bits) {
    const __nv_bfloat16 h = __ushort_as_bfloat16(static_cast<unsigned short>(bits));
    ASSERT_EQ(__bfloat16_as_ushort(h), bits);
    const float f = __bfloat162float(h);
    ASSERT_EQ(__float_as_uint(f), bits << 16);
    if ((bits & 0x7fff) > 0x7f80) continue;
    ASSERT_EQ(__bfloat16_as_ushort(__float2bfloat16_rn(f)), bits);
    if ((bits & 0x7fff) == 0x7f80) continue;
    const unsigned even = bits % 2 == 0 ? bits : bits + 1;
    ASSERT_EQ(__bfloat16_as_ushort(__float2bfloat16_rn(FloatFromBits(bits << 16 | 0x8000))), even);
    ASSERT_EQ(__bfloat16_as_ushort(__float2bfloat16_rn(FloatFromBits(bits << 16 | 0x7fff))), bits);
    ASSERT_EQ(__bfloat16_as_ushort(__float2bfloat16_rn(FloatFromBits(bits << 16 | 0x8001))), bits + 1);
  }
}

TEST(Intrinsics, PairsOfHalves) {
  const float2 pair = make_float2(1.5f, -2.0f);
  EXPECT_EQ(sizeof(__half2), 4u);
  EXPECT_EQ(__half22float2(__float22half2_rn(pair)).y, -2.0f);
  EXPECT_EQ(__bfloat1622float2(__floats2bfloat162_rn(pair.x, pair.y)).x, 1.5f);
  EXPECT_EQ(__half2float(__high2half(__halves2half2(__float2half(3.0f), __float2half(4.0f)))), 4.0f);
  EXPECT_EQ(__low2float(__floats2half2_rn(0.25f, 1.0f)), 0.25f);
}

TEST(Intrinsics, VectorTypesHaveCudasSizeAndAlignment) {
  EXPECT_EQ(sizeof(uchar4), 4u);
  EXPECT_EQ(alignof(uchar4), 4u);
  EXPECT_EQ(alignof(float2), 8u);
  EXPECT_EQ(sizeof(float3), 12u);
  EXPECT_EQ(alignof(float3), 4u);
  EXPECT_EQ(alignof(float4), 16u);
  EXPECT_EQ(alignof(double2), 16u);
  EXPECT_EQ(sizeof(double4), 32u);
  EXPECT_EQ(alignof(double4), 16u);
  EXPECT_EQ(alignof(ushort4), 8u);
  EXPECT_EQ(make_uint4(1, 2, 3, 4).w, 4u);
}

}  // namespace
