// One block of threads at a time, each thread a fiber. A thread runs until it waits at a barrier or in a warp
// primitive, or leaves the kernel; who runs next is the order's choice. What CUDA leaves undefined is a fault here: it
// ends the block and has a text.
#ifndef SYLVESTER_NATIVE_CUDA_EMULATOR_BLOCK_H_
#define SYLVESTER_NATIVE_CUDA_EMULATOR_BLOCK_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "native/cuda/emulator/errors.h"
#include "native/cuda/emulator/fiber.h"
#include "native/cuda/emulator/options.h"
#include "native/cuda/emulator/races.h"
#include "native/cuda/emulator/types.h"

namespace sylvester::emulator {

enum class Primitive : uint8_t {
  kNone,
  kSyncThreads,
  kSyncThreadsCount,
  kSyncThreadsAnd,
  kSyncThreadsOr,
  kSyncWarp,
  kShfl,
  kShflUp,
  kShflDown,
  kShflXor,
  kBallot,
  kAll,
  kAny,
  kMatchAny,
  kMatchAll,
  kReduceAdd,
  kReduceMin,
  kReduceMax,
  kReduceAnd,
  kReduceOr,
  kReduceXor,
};

constexpr int kWarpLanes = 32;
constexpr int kMaxThreads = 1024;
constexpr size_t kMaxSharedBytes = 227 << 10;

class Block {
 public:
  struct Fault {
    cudaError_t error = cudaSuccess;
    std::string text;  // who and what; without the kernel
  };

  Block();
  ~Block();
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  // A launch's blocks share all but blockIdx. False: no memory for the stacks.
  bool StartLaunch(dim3 grid, dim3 block, size_t shared_bytes, const Options& options);
  // Runs body(argument) on every thread. False: fault() says what happened.
  bool Run(uint3 index, void (*body)(void*), void* argument);
  const Fault& fault() const { return fault_; }

  // ---- For the running thread ----

  int SyncThreads(Primitive primitive, bool predicate, Site site);
  // Waits for all lanes of the mask; done(values, mask, results) then has every lane's value and makes every result.
  using Combine = void (*)(const uint64_t* values, uint32_t mask, uint64_t* results);
  uint64_t SyncLanes(Primitive primitive, uint32_t mask, uint64_t value, Combine combine, Site site);
  // A shuffle: the value of lane `source`.
  uint64_t Shuffle(Primitive primitive, uint32_t mask, uint64_t value, int source, Site site);
  int lane() const;

  char* DynamicShared(size_t offset, size_t bytes, size_t alignment);
  void AddStaticShared(const void* begin, size_t bytes) {
    if (races_) races_->AddRegion(begin, bytes);
  }
  bool finds_races() const { return races_ != nullptr; }
  void CheckRaces(const void* address, size_t bytes, Access access);

  // The running thread did what it must not.
  [[noreturn]] void Fail(cudaError_t error, const char* format, ...) __attribute__((format(printf, 3, 4)));

 private:
  struct Thread;
  struct Warp;

  static void ThreadMain();
  Thread* Next();
  int Pick(uint32_t candidates);
  void Yield();
  void MakeReady(uint32_t warp, uint32_t lanes);
  void Resume(Thread* thread);
  void Arrive(Primitive primitive, uint32_t mask, Site site);
  void SetFault(const Thread& thread, cudaError_t error, const std::string& what);
  // What a thread has on its stack is never destroyed after this.
  [[noreturn]] void Stop();
  void Diagnose();
  void DiagnoseWait(const Thread& thread);
  void Abandon();
  std::string Name(const Thread& thread) const;
  std::string Describe(const Thread& thread) const;
  std::string Describe(const Races::Finding& finding, const char* address, size_t bytes, Access access) const;
  bool Exited(const Thread& thread) const;
  int Index(const Thread& thread) const;

  std::unique_ptr<Thread[]> threads_;
  std::unique_ptr<Warp[]> warps_;
  std::unique_ptr<Races> races_;
  char* shared_;
  size_t shared_bytes_ = 0;
  StackPool stacks_;
  Fiber main_;
  Thread* current_ = nullptr;
  Options options_;
  uint64_t random_ = 0;
  uint32_t ready_warps_ = 0;
  int current_warp_ = 0;
  int thread_count_ = 0, exited_count_ = 0;

  // The barrier that some threads have reached.
  int arrived_ = 0;
  const Thread* first_arrived_ = nullptr;
  int predicates_ = 0;      // so far
  int barrier_result_ = 0;  // of the last complete barrier

  void (*body_)(void*) = nullptr;
  void* argument_ = nullptr;
  uint3 index_ = {};
  Fault fault_;
};

// The device runs one launch at a time, on the thread that makes it.
extern Block* block;

}  // namespace sylvester::emulator

#endif
