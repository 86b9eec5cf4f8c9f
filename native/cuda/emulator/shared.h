// Shared memory: pointers whose accesses are checked.
#ifndef SYLVESTER_NATIVE_CUDA_EMULATOR_SHARED_H_
#define SYLVESTER_NATIVE_CUDA_EMULATOR_SHARED_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "native/cuda/emulator/block.h"

namespace sylvester {

template <typename T>
class SharedRef;

// An element's place in an array of shared memory. It may lie anywhere; only what it is used for must be inside.
template <typename T>
class SharedPtr {
 public:
  SharedPtr() = default;
  SharedPtr(std::nullptr_t) {}
  SharedPtr(char* begin, ptrdiff_t bytes, ptrdiff_t offset) : begin_(begin), bytes_(bytes), offset_(offset) {}
  template <typename U, typename = std::enable_if_t<std::is_same_v<T, const U>>>
  SharedPtr(const SharedPtr<U>& other) : SharedPtr(other.begin(), other.bytes(), other.offset()) {}

  SharedRef<T> operator*() const { return SharedRef<T>(*this); }
  SharedRef<T> operator[](ptrdiff_t i) const { return SharedRef<T>(*this + i); }
  SharedPtr operator+(ptrdiff_t n) const { return SharedPtr(begin_, bytes_, offset_ + n * kSize); }
  SharedPtr operator-(ptrdiff_t n) const { return *this + -n; }
  friend SharedPtr operator+(ptrdiff_t n, SharedPtr p) { return p + n; }
  ptrdiff_t operator-(SharedPtr other) const { return (address() - other.address()) / kSize; }
  SharedPtr& operator+=(ptrdiff_t n) { return *this = *this + n; }
  SharedPtr& operator-=(ptrdiff_t n) { return *this = *this - n; }
  SharedPtr& operator++() { return *this += 1; }
  SharedPtr& operator--() { return *this -= 1; }
  friend bool operator==(SharedPtr a, SharedPtr b) { return a.address() == b.address(); }
  friend bool operator!=(SharedPtr a, SharedPtr b) { return a.address() != b.address(); }
  friend bool operator<(SharedPtr a, SharedPtr b) { return a.address() < b.address(); }
  explicit operator bool() const { return begin_ != nullptr; }

  // The array, for SharedCast.
  char* begin() const { return begin_; }
  ptrdiff_t bytes() const { return bytes_; }
  ptrdiff_t offset() const { return offset_; }

  // The element's address, once the access is found to be allowed.
  void* Check(emulator::Access access) const {
    if (offset_ < 0 || offset_ > bytes_ - kSize) {
      emulator::block->Fail(cudaErrorIllegalAddress, "%s element %td (of %td bytes) of a shared array of %td",
                            access == emulator::Access::kRead ? "reads" : "writes",
                            offset_ < 0 ? (offset_ - kSize + 1) / kSize : offset_ / kSize, kSize, bytes_ / kSize);
    }
    if (static_cast<uintptr_t>(address()) % alignof(T) != 0) {
      emulator::block->Fail(cudaErrorMisalignedAddress, "byte %td of a shared array is no place for %td bytes", offset_,
                            kSize);
    }
    char* const place = begin_ + offset_;
    if (emulator::block->finds_races()) emulator::block->CheckRaces(place, sizeof(T), access);
    return place;
  }

 private:
  static_assert(std::is_trivially_copyable_v<T>);
  static constexpr ptrdiff_t kSize = sizeof(T);

  ptrdiff_t address() const { return reinterpret_cast<intptr_t>(begin_) + offset_; }

  char* begin_ = nullptr;
  ptrdiff_t bytes_ = 0;
  ptrdiff_t offset_ = 0;
};

// Stands for an element where the device has a reference. Only a temporary can be used: `auto v = p[i]` would be a copy
// on the device and is no usable variable here.
template <typename T>
class SharedRef {
 public:
  using Value = std::remove_const_t<T>;

  explicit SharedRef(SharedPtr<T> place) : place_(place) {}
  SharedRef(const SharedRef&) = default;

  operator Value() && { return Load(); }
  Value operator=(Value value) && { return Store(value); }
  Value operator=(SharedRef&& other) && { return Store(other.Load()); }
  SharedPtr<T> operator&() && { return place_; }

  template <typename U>
  Value operator+=(U value) && {
    return Store(static_cast<Value>(Load() + value));
  }
  template <typename U>
  Value operator-=(U value) && {
    return Store(static_cast<Value>(Load() - value));
  }
  template <typename U>
  Value operator*=(U value) && {
    return Store(static_cast<Value>(Load() * value));
  }
  template <typename U>
  Value operator|=(U value) && {
    return Store(static_cast<Value>(Load() | value));
  }
  template <typename U>
  Value operator&=(U value) && {
    return Store(static_cast<Value>(Load() & value));
  }
  template <typename U>
  Value operator^=(U value) && {
    return Store(static_cast<Value>(Load() ^ value));
  }

 private:
  Value Load() const {
    Value value;
    std::memcpy(&value, place_.Check(emulator::Access::kRead), sizeof(value));
    return value;
  }
  Value Store(Value value) const {
    static_assert(!std::is_const_v<T>);
    std::memcpy(place_.Check(emulator::Access::kWrite), &value, sizeof(value));
    return value;
  }

  SharedPtr<T> place_;
};

// `count` elements from byte_offset on; others of the launch's shared memory are out of bounds.
template <typename T>
SharedPtr<T> DynamicShared(size_t byte_offset, size_t count) {
  const size_t bytes = count * sizeof(T);
  return SharedPtr<T>(emulator::block->DynamicShared(byte_offset, bytes, alignof(T)), static_cast<ptrdiff_t>(bytes), 0);
}

template <typename T, size_t n>
SharedPtr<T> StaticShared(T (&array)[n]) {
  emulator::block->AddStaticShared(array, sizeof(array));
  return SharedPtr<T>(reinterpret_cast<char*>(array), sizeof(array), 0);
}

template <typename U, typename T>
SharedPtr<U> SharedCast(SharedPtr<T> pointer) {
  return SharedPtr<U>(pointer.begin(), pointer.bytes(), pointer.offset());
}

}  // namespace sylvester

#endif
