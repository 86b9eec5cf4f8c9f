#include "native/common/kv_plan_file.h"

#include <algorithm>
#include <cinttypes>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <new>
#include <string>
#include <type_traits>
#include <utility>

#include "native/common/status.h"

namespace sylvester {
namespace {

constexpr char kMagic[] = "SYLKVPLN";
constexpr uint32_t kVersion = 2;
constexpr int64_t kOptions = 32, kOptionsBytes = 19 * 4, kHeaderBytes = kOptions + kOptionsBytes + 4;

static_assert(offsetof(syl_kv_options, window) + sizeof(int32_t) - offsetof(syl_kv_options, rope) == kOptionsBytes,
              "the options of a file are those of the struct");
template <typename Options>
auto* OptionBytes(Options& options) {
  using Byte = std::conditional_t<std::is_const_v<Options>, const uint8_t, uint8_t>;
  return reinterpret_cast<Byte*>(&options) + offsetof(syl_kv_options, rope);
}

template <typename T>
uint8_t* Put(uint8_t* to, const T* values, size_t count) {
  return std::copy_n(reinterpret_cast<const uint8_t*>(values), count * sizeof(T), to);
}

template <typename T>
T Get(const uint8_t* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

template <typename T>
const uint8_t* Get(const uint8_t* from, size_t count, std::vector<T>* values) {
  values->resize(count);
  std::memcpy(values->data(), from, count * sizeof(T));
  return from + count * sizeof(T);
}

uint8_t* PutChecksum(uint8_t* begin, uint8_t* end) {
  const uint32_t crc = Crc32(begin, end - begin);
  return Put(end, &crc, 1);
}

int64_t LayerBytes(const syl_kv_options& options, int64_t channels) {
  const bool keys = (options.center & SYL_KV_CENTER_KEYS) != 0, values = (options.center & SYL_KV_CENTER_VALUES) != 0;
  return 4 + channels * (2 * (options.sort != 0) + 4 * keys + 4 * values + 4 * (options.balance != 0)) + 4;
}

#define REQUIRE(condition, offset, format, ...)                                                                   \
  do {                                                                                                            \
    if (!(condition)) {                                                                                           \
      return Fail(SYL_BAD_DATA, "%s: file, offset %" PRId64 ": " format, function, int64_t{offset}, __VA_ARGS__); \
    }                                                                                                             \
  } while (0)

syl_status CheckHeader(const char* function, const uint8_t* file, int64_t bytes, const syl_kv_geometry& geometry,
                       uint64_t hash) {
  REQUIRE(bytes >= kHeaderBytes, bytes, "has %" PRId64 " bytes, must have %" PRId64 " or more", bytes, kHeaderBytes);
  REQUIRE(std::memcmp(file, kMagic, 8) == 0, 0, "is no %s", kMagic);
  REQUIRE(Get<uint32_t>(file + 8) == kVersion, 8, "version is %" PRIu32 ", must be %" PRIu32, Get<uint32_t>(file + 8),
          kVersion);
  const uint32_t crc = Crc32(file, kHeaderBytes - 4), stored = Get<uint32_t>(file + kHeaderBytes - 4);
  REQUIRE(crc == stored, kHeaderBytes - 4, "checksum of the header is %08" PRIx32 ", must be %08" PRIx32, stored, crc);
  REQUIRE(Get<uint64_t>(file + 24) == hash, 24, "hash of the geometry is %016" PRIx64 ", must be %016" PRIx64,
          Get<uint64_t>(file + 24), hash);
  REQUIRE(Get<uint32_t>(file + 12) == static_cast<uint32_t>(geometry.layers), 12, "layers is %" PRIu32 ", must be %d",
          Get<uint32_t>(file + 12), geometry.layers);
  return SYL_OK;
}

// Groups as sorting makes them: of group channels each, the last of what is left.
syl_status CheckGroups(const char* function, int64_t offset, const KvPlan& plan, const KvLayer& layer) {
  std::vector<int64_t> members(layer.keys.groups);
  for (int64_t c = 0; c < plan.Channels(); ++c) {
    const uint16_t group = layer.group_of[c];
    REQUIRE(group < layer.keys.groups, offset + 2 * c, "group is %d, must be less than %d", group, layer.keys.groups);
    ++members[group];
  }
  const int64_t size = plan.options.group_keys;
  for (int64_t g = 0; g < layer.keys.groups; ++g) {
    const int64_t want = std::min(size, plan.Channels() - g * size);
    REQUIRE(members[g] == want, offset, "%" PRId64 " channels in group %" PRId64 ", must be %" PRId64, members[g], g,
            want);
  }
  return SYL_OK;
}

syl_status CheckFinite(const char* function, int64_t offset, const std::vector<float>& center) {
  for (size_t i = 0; i < center.size(); ++i) {
    REQUIRE(std::isfinite(center[i]), offset + 4 * static_cast<int64_t>(i), "mean is %g, must be finite",
            static_cast<double>(center[i]));
  }
  return SYL_OK;
}

syl_status CheckGains(const char* function, int64_t offset, const std::vector<float>& gains) {
  for (size_t i = 0; i < gains.size(); ++i) {
    REQUIRE(gains[i] >= 1 / kKvMaxGain && gains[i] <= kKvMaxGain, offset + 4 * static_cast<int64_t>(i),
            "gain is %g, must be %g..%g", static_cast<double>(gains[i]), static_cast<double>(1 / kKvMaxGain),
            static_cast<double>(kKvMaxGain));
  }
  return SYL_OK;
}

syl_status Load(const char* function, const uint8_t* file, int64_t bytes, const syl_kv_geometry& geometry,
                KvPlan* plan) {
  syl_kv_options options = {};
  options.struct_size = sizeof(options);
  std::memcpy(OptionBytes(options), file + kOptions, kOptionsBytes);

  const int64_t channels = geometry.kv_heads * geometry.head_dim;
  const int64_t layer_bytes = LayerBytes(options, channels), want = kHeaderBytes + geometry.layers * layer_bytes;
  REQUIRE(Get<int64_t>(file + 16) == want, 16, "says %" PRId64 " bytes, must be %" PRId64, Get<int64_t>(file + 16),
          want);
  REQUIRE(bytes == want, std::min(bytes, want), "has %" PRId64 " bytes, must have %" PRId64, bytes, want);

  std::vector<uint8_t> layer_bits;
  for (int64_t begin = kHeaderBytes; begin < bytes; begin += layer_bytes) {
    const int64_t at = begin + layer_bytes - 4;
    const uint32_t crc = Crc32(file + begin, layer_bytes - 4), stored = Get<uint32_t>(file + at);
    REQUIRE(crc == stored, at, "checksum of layer %" PRId64 " is %08" PRIx32 ", must be %08" PRIx32,
            (begin - kHeaderBytes) / layer_bytes, stored, crc);
    for (int side = 0; side < 2; ++side) {
      const uint16_t bits = Get<uint16_t>(file + begin + 2 * side);
      REQUIRE(bits <= 8, begin + 2 * side, "bits is %d, must be 2, 3, 4 or 8", bits);
      layer_bits.push_back(static_cast<uint8_t>(bits));
    }
  }
  options.layer_bits = layer_bits.data();
  const syl_status status = MakeKvPlan(function, &geometry, &options, plan);
  if (status == SYL_OUT_OF_MEMORY) return status;
  REQUIRE(status == SYL_OK, kOptions, "%s", std::string(syl_last_error()).c_str());
  // A plan has one file.
  REQUIRE(std::memcmp(OptionBytes(plan->options), file + kOptions, kOptionsBytes) == 0, kOptions, "%s",
          "options have defaults that are not filled in");

  const uint8_t* from = file + kHeaderBytes;
  for (KvLayer& layer : plan->layers) {
    from += 4;
    if (options.sort != 0) {
      const int64_t offset = from - file;
      from = Get(from, channels, &layer.group_of);
      if (syl_status s = CheckGroups(function, offset, *plan, layer)) return s;
    }
    for (const auto& [flag, center] :
         {std::pair(SYL_KV_CENTER_KEYS, &layer.center_keys), std::pair(SYL_KV_CENTER_VALUES, &layer.center_values)}) {
      if ((options.center & flag) == 0) continue;
      const int64_t offset = from - file;
      from = Get(from, channels, center);
      if (syl_status s = CheckFinite(function, offset, *center)) return s;
    }
    if (options.balance != 0) {
      const int64_t offset = from - file;
      from = Get(from, channels, &layer.gain_keys);
      if (syl_status s = CheckGains(function, offset, layer.gain_keys)) return s;
    }
    from += 4;
  }
  SealKvPlan(plan);
  return SYL_OK;
}

}  // namespace

int64_t KvPlanFileBytes(const KvPlan& plan) {
  return kHeaderBytes + static_cast<int64_t>(plan.layers.size()) * LayerBytes(plan.options, plan.Channels());
}

void SaveKvPlan(const KvPlan& plan, uint8_t* file) {
  const auto layers = static_cast<uint32_t>(plan.layers.size());
  const int64_t bytes = KvPlanFileBytes(plan);
  uint8_t* to = Put(file, kMagic, 8);
  to = Put(to, &kVersion, 1);
  to = Put(to, &layers, 1);
  to = Put(to, &bytes, 1);
  to = Put(to, &plan.geometry_hash, 1);
  to = Put(to, OptionBytes(plan.options), kOptionsBytes);
  to = PutChecksum(file, to);
  for (uint32_t i = 0; i < layers; ++i) {
    const KvLayer& layer = plan.layers[i];
    uint8_t* begin = to;
    const uint16_t bits[2] = {plan.layer_bits[2 * i], plan.layer_bits[2 * i + 1]};
    to = Put(to, bits, 2);
    if (plan.options.sort != 0) to = Put(to, layer.group_of.data(), layer.group_of.size());
    to = Put(to, layer.center_keys.data(), layer.center_keys.size());
    to = Put(to, layer.center_values.data(), layer.center_values.size());
    to = Put(to, layer.gain_keys.data(), layer.gain_keys.size());
    to = PutChecksum(begin, to);
  }
}

void SealKvPlan(KvPlan* plan) {
  std::vector<uint8_t> file(KvPlanFileBytes(*plan));
  SaveKvPlan(*plan, file.data());
  // Of the checksums alone: the CRC-32 of bytes with their CRC-32 behind them is the same for all bytes.
  const int64_t step = LayerBytes(plan->options, plan->Channels());
  plan->checksum = 0;
  for (int64_t end = kHeaderBytes; end <= static_cast<int64_t>(file.size()); end += step) {
    plan->checksum = Crc32(file.data() + end - 4, 4, plan->checksum);
  }
}

syl_status LoadKvPlan(const char* function, const void* file, int64_t bytes, const syl_kv_geometry* geometry,
                      KvPlan* plan) {
  if (file == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: file is NULL", function);
  uint64_t hash;
  if (syl_status s = CheckKvGeometry(function, geometry, &hash)) return s;
  const auto* from = static_cast<const uint8_t*>(file);
  if (syl_status s = CheckHeader(function, from, bytes, *geometry, hash)) return s;
  try {
    KvPlan loaded;
    if (syl_status s = Load(function, from, bytes, *geometry, &loaded)) return s;
    *plan = std::move(loaded);
    return SYL_OK;
  } catch (const std::bad_alloc&) {
    return Fail(SYL_OUT_OF_MEMORY, "%s: out of memory for %" PRId64 " bytes", function, bytes);
  }
}

}  // namespace sylvester
