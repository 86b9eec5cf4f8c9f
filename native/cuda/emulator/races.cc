#include "native/cuda/emulator/races.h"

#include <algorithm>

namespace sylvester::emulator {

void Races::StartBlock() {
  block_epoch_ = ++epoch_;
  time_ = 0;
  std::fill(known_.begin(), known_.end(), 0);
}

void Races::WarpBarrier(int warp, uint32_t mask) {
  ++time_;
  uint32_t joint[kLanes] = {};
  for (uint32_t lanes = mask; lanes != 0; lanes &= lanes - 1) {
    const int thread = warp * kLanes + __builtin_ctz(lanes);
    for (int l = 0; l < kLanes; ++l) joint[l] = std::max(joint[l], Known(thread, l));
  }
  for (uint32_t lanes = mask; lanes != 0; lanes &= lanes - 1) joint[__builtin_ctz(lanes)] = time_;
  for (uint32_t lanes = mask; lanes != 0; lanes &= lanes - 1) {
    std::copy_n(joint, kLanes, &Known(warp * kLanes + __builtin_ctz(lanes), 0));
  }
}

void Races::AddRegion(const void* begin, size_t bytes) {
  auto& cells = regions_[reinterpret_cast<uintptr_t>(begin)];
  if (cells.size() < bytes) cells.resize(bytes);
}

Races::Finding Races::Check(int thread, const void* address, size_t bytes, Access access) {
  const auto first = reinterpret_cast<uintptr_t>(address);
  auto region = regions_.upper_bound(first);
  if (region == regions_.begin()) return {};
  --region;
  const size_t offset = first - region->first;
  if (offset + bytes > region->second.size()) return {};
  for (size_t i = offset; i < offset + bytes; ++i) {
    const Finding finding = CheckByte(thread, &region->second[i], access);
    if (finding.kind != Finding::kNone) return finding;
  }
  return {};
}

Races::Finding Races::CheckByte(int thread, Cell* cell, Access access) {
  const bool both_atomic = access == Access::kAtomic && cell->atomic_write;
  if (cell->write_epoch == epoch_ && !both_atomic && !Ordered(cell->writer, cell->write_stamp, thread)) {
    return {Finding::kWithWrite, cell->writer};
  }
  if (access != Access::kWrite && cell->write_epoch < block_epoch_) return {Finding::kUninitialised, thread};
  if (access == Access::kRead) {
    NoteRead(thread, cell);
    return {};
  }
  if (cell->read_epoch == epoch_) {
    if (cell->read_by_warps) {
      const bool own_warp = cell->reader / kLanes == thread / kLanes;
      return {Finding::kWithRead, own_warp ? cell->other_reader : cell->reader};
    }
    for (uint32_t lanes = cell->read_lanes; lanes != 0; lanes &= lanes - 1) {
      const int reader = cell->reader / kLanes * kLanes + __builtin_ctz(lanes);
      if (!Ordered(reader, cell->read_stamp, thread)) return {Finding::kWithRead, reader};
    }
  }
  cell->write_epoch = epoch_;
  cell->write_stamp = Known(thread, thread % kLanes);
  cell->writer = static_cast<uint16_t>(thread);
  cell->atomic_write = access == Access::kAtomic;
  return {};
}

void Races::NoteRead(int thread, Cell* cell) {
  const uint32_t stamp = Known(thread, thread % kLanes), lane = 1u << (thread % kLanes);
  if (cell->read_epoch != epoch_) {
    cell->read_by_warps = false;
  } else if (cell->reader / kLanes != thread / kLanes) {
    // Whoever writes is of another warp than one of these.
    cell->read_by_warps = true;
    cell->other_reader = static_cast<uint16_t>(thread);
    return;
  } else if (cell->read_by_warps) {
    return;
  } else if (cell->read_stamp == stamp) {
    cell->read_lanes |= lane;
    return;
  } else if (cell->read_stamp > stamp) {
    return;
  }
  cell->read_epoch = epoch_;
  cell->read_stamp = stamp;
  cell->read_lanes = lane;
  cell->reader = static_cast<uint16_t>(thread);
}

}  // namespace sylvester::emulator
