// How the emulator runs kernels. At first as the environment says:
// SYLVESTER_EMULATOR_ORDER=forward|reverse|random[:seed] and SYLVESTER_EMULATOR_RACES=1.
#ifndef SYLVESTER_NATIVE_CUDA_EMULATOR_OPTIONS_H_
#define SYLVESTER_NATIVE_CUDA_EMULATOR_OPTIONS_H_

#include <cstdint>
#include <string>

namespace sylvester::emulator {

// Who runs next of those who can: the lowest thread of the running warp, the highest, or any thread of any warp. Blocks
// follow each other upwards, downwards, or in steps round the grid.
enum class Order { kForward, kReverse, kRandom };

struct Options {
  Order order = Order::kForward;
  uint64_t seed = 0;   // of kRandom
  bool races = false;  // check accesses by SharedPtr for races and reads of memory that the block has not written
};

// Of all later launches.
void SetOptions(const Options& options);
Options GetOptions();

// Kernel, block, thread and deed of the fault that has become the sticky error; empty without one.
std::string FaultText();
// cudaDeviceReset() for tests: forgets the error, keeps memory, streams and events.
void ClearFault();

}  // namespace sylvester::emulator

#endif
