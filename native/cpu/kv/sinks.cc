// The tokens of largest magnitude.
#include <sylvester/kv.h>

#include <algorithm>
#include <cmath>

#include "native/common/half.h"
#include "native/common/status.h"
#include "native/cpu/kv/finite.h"
#include "native/cpu/nn/rows.h"

namespace sylvester {
namespace {

constexpr int64_t kMaxCount = 1024;

struct Element {
  uint32_t magnitude;  // a float's bits
  int64_t row, col;

  bool operator<(const Element& other) const {  // comes before it
    if (magnitude != other.magnitude) return magnitude > other.magnitude;
    return row != other.row ? row < other.row : col < other.col;
  }
};

// The first elements of all that were added; the last of them on top of a heap.
class FirstElements {
 public:
  explicit FirstElements(int64_t count) : count_(count) {}

  void Add(const Element& element) {
    if (size_ == count_) {
      if (size_ == 0 || !(element < heap_[0])) return;
      std::pop_heap(heap_, heap_ + size_--);
    }
    heap_[size_++] = element;
    std::push_heap(heap_, heap_ + size_);
  }
  // Smaller magnitudes are not among them.
  uint32_t Least() const { return size_ < count_ || size_ == 0 ? 0 : heap_[0].magnitude; }
  const Element* begin() const { return heap_; }
  const Element* end() const { return heap_ + size_; }

 private:
  Element heap_[kMaxCount];
  const int64_t count_;
  int64_t size_ = 0;
};

}  // namespace
}  // namespace sylvester

using namespace sylvester;

syl_status syl_kv_find_sinks_f32(const float* hidden, int64_t stride, int64_t rows, int64_t cols, int64_t count,
                                 uint8_t* sinks) {
  syl_status status = CheckRows(__func__, {"hidden", hidden, stride}, rows, cols);
  if (status != SYL_OK) return status;
  SYL_REQUIRE_RANGE(count, 0, kMaxCount);
  SYL_REQUIRE_PTR(sinks);
  SYL_REQUIRE(!Overlaps(hidden, Extent(rows, cols, stride) * 4, sinks, rows), SYL_OVERLAP,
              "sinks overlaps hidden (%lld rows)", static_cast<long long>(rows));
  status = CheckFinite(__func__, "hidden", hidden, stride, rows, cols);
  if (status != SYL_OK) return status;
  FirstElements first(count);
  constexpr int64_t kBlock = 64;
  for (int64_t r = 0; r < rows; ++r) {
    const float* row = hidden + r * stride;
    for (int64_t c = 0; c < cols; c += kBlock) {
      const int64_t end = std::min(cols, c + kBlock);
      // Most blocks have nothing to add, which a loop without branches finds out.
      uint32_t largest = 0;
      for (int64_t i = c; i < end; ++i) largest = std::max(largest, BitsOf(std::fabs(row[i])));
      if (largest < first.Least()) continue;
      for (int64_t i = c; i < end; ++i) first.Add({BitsOf(std::fabs(row[i])), r, i});
    }
  }
  std::fill_n(sinks, rows, uint8_t{0});
  for (const Element& element : first) sinks[element.row] = 1;
  return SYL_OK;
}
