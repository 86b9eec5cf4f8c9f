// Finds unordered accesses to a block's shared memory. Each byte remembers its last write and its last reads; two
// accesses by different threads of which one writes must have a __syncthreads() between them, or a __syncwarp() of both
// lanes. Shuffles and votes order nothing, as CUDA has it. Writes of equal values race as well; atomics do not race
// with each other.
//
// Every report is a race of the program. One may be missed where some lanes of a warp have read a byte before and some
// after a __syncwarp() of a part of the warp.
#ifndef SYLVESTER_NATIVE_CUDA_EMULATOR_RACES_H_
#define SYLVESTER_NATIVE_CUDA_EMULATOR_RACES_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

namespace sylvester::emulator {

enum class Access { kRead, kWrite, kAtomic };

class Races {
 public:
  struct Finding {
    enum Kind { kNone, kWithRead, kWithWrite, kUninitialised } kind = kNone;
    int thread = 0;  // the other one
  };

  // Threads are numbers within the block, lane = thread % 32.
  void StartBlock();
  void BlockBarrier() { ++epoch_; }
  void WarpBarrier(int warp, uint32_t mask);
  // Memory is known once it is in a region; the same region may be given again.
  void AddRegion(const void* begin, size_t bytes);
  Finding Check(int thread, const void* address, size_t bytes, Access access);

 private:
  static constexpr int kWarps = 32, kLanes = 32;

  // When: epochs count the block's barriers, stamps the warp's.
  struct Cell {
    uint32_t write_epoch = 0, write_stamp = 0;
    uint32_t read_epoch = 0, read_stamp = 0;
    uint32_t read_lanes = 0;
    uint16_t writer = 0, reader = 0, other_reader = 0;
    bool atomic_write = false;
    bool read_by_warps = false;  // reader and other_reader are of two warps
  };

  Finding CheckByte(int thread, Cell* cell, Access access);
  void NoteRead(int thread, Cell* cell);
  uint32_t& Known(int thread, int lane) { return known_[static_cast<size_t>(thread * kLanes + lane)]; }
  bool Ordered(int earlier, uint32_t stamp, int later) {
    return earlier == later || (earlier / kLanes == later / kLanes && Known(later, earlier % kLanes) > stamp);
  }

  std::map<uintptr_t, std::vector<Cell>> regions_;  // by their first byte
  uint32_t epoch_ = 0;
  uint32_t block_epoch_ = 0;  // the first of this block
  uint32_t time_ = 0;
  // known_[t][l]: all that lane l of t's warp did before this time happened before what t does now.
  std::vector<uint32_t> known_ = std::vector<uint32_t>(kWarps * kLanes * kLanes);
};

}  // namespace sylvester::emulator

#endif
