#include "native/cuda/emulator/block.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "native/cuda/emulator/names.h"

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace sylvester::emulator {

Block* block = nullptr;

struct Block::Thread {
  Fiber fiber;
  char* stack = nullptr;  // while the thread is between its first and its last instruction
  uint3 index = {};
  // The primitive that it waits in, or was in last.
  Primitive primitive = Primitive::kNone;
  bool waits = false;
  Site site;
  uint32_t mask = 0;
  int source = 0;
  uint64_t value = 0;
  uint64_t result = 0;
};

struct Block::Warp {
  struct Gathering {
    Primitive primitive;
    uint32_t mask;
    uint32_t arrived;
  };

  uint32_t lanes = 0;  // that the block has
  uint32_t ready = 0;
  uint32_t exited = 0;
  // The primitives that lanes wait in, one for each mask.
  int gatherings = 0;
  Gathering gathering[kWarpLanes];
};

namespace {

constexpr size_t kSharedAlignment = 1024;
// NaN as a float, and an unlikely index.
constexpr int kPoison = 0xff;

}  // namespace

Block::Block()
    : threads_(new Thread[kMaxThreads]),
      warps_(new Warp[kMaxThreads / kWarpLanes]),
      shared_(static_cast<char*>(std::aligned_alloc(kSharedAlignment, kMaxSharedBytes))) {}

Block::~Block() { std::free(shared_); }

bool Block::StartLaunch(dim3 grid, dim3 block_size, size_t shared_bytes, const Options& options) {
  if (shared_ == nullptr) return false;
  gridDim = grid;
  blockDim = block_size;
  shared_bytes_ = shared_bytes;
  options_ = options;
  random_ = options.seed;
  if (options.races && !races_) races_ = std::make_unique<Races>();
  if (!options.races) races_.reset();
  if (races_) races_->AddRegion(shared_, kMaxSharedBytes);
  thread_count_ = 0;
  for (unsigned z = 0; z < block_size.z; ++z) {
    for (unsigned y = 0; y < block_size.y; ++y) {
      for (unsigned x = 0; x < block_size.x; ++x) threads_[static_cast<size_t>(thread_count_++)].index = {x, y, z};
    }
  }
  // Every stack that a launch can need is there before it starts: a thread could not be told of their lack.
  return stacks_.Reserve(static_cast<size_t>(thread_count_));
}

bool Block::Run(uint3 index, void (*body)(void*), void* argument) {
  blockIdx = index_ = index;
  body_ = body;
  argument_ = argument;
  std::memset(shared_, kPoison, shared_bytes_);
  if (races_) races_->StartBlock();
  fault_ = {};
  exited_count_ = arrived_ = predicates_ = 0;
  ready_warps_ = 0;
  for (int first = 0; first < thread_count_; first += kWarpLanes) {
    const int lanes = thread_count_ - first;
    Warp& warp = warps_[static_cast<size_t>(first / kWarpLanes)];
    warp.lanes = warp.ready = lanes >= kWarpLanes ? ~0u : (1u << lanes) - 1;
    warp.exited = 0;
    warp.gatherings = 0;
    ready_warps_ |= 1u << (first / kWarpLanes);
  }
  current_warp_ = Pick(ready_warps_);
  Resume(Next());
  Switch(&main_, &current_->fiber);
  current_ = nullptr;
  if (fault_.error == cudaSuccess && exited_count_ < thread_count_) Diagnose();
  if (fault_.error == cudaSuccess) return true;
  Abandon();
  return false;
}

// ---- Who runs -------------------------------------------------------------------------------------------------------

int Block::Pick(uint32_t candidates) {
  if (options_.order == Order::kForward) return __builtin_ctz(candidates);
  if (options_.order == Order::kReverse) return 31 - __builtin_clz(candidates);
  random_ = random_ * 6364136223846793005u + 1442695040888963407u;
  auto skip = static_cast<uint32_t>((random_ >> 32) * static_cast<unsigned>(__builtin_popcount(candidates)) >> 32);
  while (skip-- > 0) candidates &= candidates - 1;
  return __builtin_ctz(candidates);
}

Block::Thread* Block::Next() {
  if (ready_warps_ == 0) return nullptr;
  if (options_.order == Order::kRandom || (ready_warps_ >> current_warp_ & 1) == 0) current_warp_ = Pick(ready_warps_);
  Warp& warp = warps_[static_cast<size_t>(current_warp_)];
  const int lane = Pick(warp.ready);
  warp.ready &= ~(1u << lane);
  if (warp.ready == 0) ready_warps_ &= ~(1u << current_warp_);
  return &threads_[static_cast<size_t>(current_warp_ * kWarpLanes + lane)];
}

void Block::MakeReady(uint32_t warp, uint32_t lanes) {
  warps_[warp].ready |= lanes;
  ready_warps_ |= 1u << warp;
  for (; lanes != 0; lanes &= lanes - 1)
    threads_[warp * kWarpLanes + static_cast<unsigned>(__builtin_ctz(lanes))].waits = false;
}

// Makes `thread` the running one; the caller switches to it.
void Block::Resume(Thread* thread) {
  if (thread->stack == nullptr) {
    thread->stack = stacks_.Take();
    Prepare(&thread->fiber, thread->stack, ThreadMain);
  }
  current_ = thread;
  threadIdx = thread->index;
}

void Block::Yield() {
  Thread* const self = current_;
  Thread* const next = Next();
  if (next == self) return;
  if (next == nullptr) {
    Switch(&self->fiber, &main_);
  } else {
    Resume(next);
    Switch(&self->fiber, &next->fiber);
  }
}

void Block::ThreadMain() {
  Entered();
  Block* const b = block;
  for (;;) {
    Thread* const self = b->current_;
    self->primitive = Primitive::kNone;
    b->body_(b->argument_);
    ++b->exited_count_;
    const int index = b->Index(*self);
    b->warps_[static_cast<size_t>(index / kWarpLanes)].exited |= 1u << (index % kWarpLanes);
    char* const stack = self->stack;
    self->stack = nullptr;
    Thread* const next = b->Next();
    if (next != nullptr && next->stack == nullptr) {
      // A new thread takes over fiber and stack.
      next->stack = stack;
      next->fiber = self->fiber;
      b->current_ = next;
      threadIdx = next->index;
      continue;
    }
    // Nobody takes this stack before the switch.
    b->stacks_.Give(stack);
    if (next != nullptr) b->Resume(next);
    SwitchForGood(&self->fiber, next != nullptr ? &next->fiber : &b->main_);
  }
}

// After a fault: what the threads had on their stacks is forgotten.
void Block::Abandon() {
  for (int i = 0; i < thread_count_; ++i) {
    Thread& thread = threads_[static_cast<size_t>(i)];
    if (thread.stack != nullptr) stacks_.GiveAbandoned(thread.stack);
    thread.stack = nullptr;
    thread.waits = false;
  }
}

// ---- Waiting --------------------------------------------------------------------------------------------------------

int Block::Index(const Thread& thread) const { return static_cast<int>(&thread - threads_.get()); }
int Block::lane() const { return Index(*current_) % kWarpLanes; }

bool Block::Exited(const Thread& thread) const {
  const int index = Index(thread);
  return warps_[static_cast<size_t>(index / kWarpLanes)].exited >> (index % kWarpLanes) & 1;
}

void Block::Arrive(Primitive primitive, uint32_t mask, Site site) {
  current_->primitive = primitive;
  current_->mask = mask;
  current_->site = site;
  current_->waits = true;
}

int Block::SyncThreads(Primitive primitive, bool predicate, Site site) {
  Arrive(primitive, 0, site);
  if (arrived_ == 0) {
    first_arrived_ = current_;
  } else if (first_arrived_->primitive != primitive || first_arrived_->site.line != site.line ||
             std::strcmp(first_arrived_->site.file, site.file) != 0) {
    SetFault(*current_, cudaErrorLaunchFailure,
             "thread " + Name(*first_arrived_) + " waits at another barrier, " + Describe(*first_arrived_));
    Stop();
  }
  predicates_ += predicate;
  if (++arrived_ == thread_count_) {
    barrier_result_ = primitive == Primitive::kSyncThreadsCount ? predicates_
                      : primitive == Primitive::kSyncThreadsAnd ? predicates_ == thread_count_
                                                                : predicates_ > 0;
    arrived_ = predicates_ = 0;
    if (races_) races_->BlockBarrier();
    for (int first = 0; first < thread_count_; first += kWarpLanes) {
      const auto warp = static_cast<uint32_t>(first / kWarpLanes);
      MakeReady(warp, warps_[warp].lanes);
    }
    current_warp_ = Pick(ready_warps_);
  }
  Yield();
  return barrier_result_;
}

uint64_t Block::SyncLanes(Primitive primitive, uint32_t mask, uint64_t value, Combine combine, Site site) {
  Arrive(primitive, mask, site);
  Thread* const self = current_;
  self->value = value;
  const int index = Index(*self);
  const auto warp_index = static_cast<uint32_t>(index / kWarpLanes);
  const uint32_t bit = 1u << (index % kWarpLanes);
  Warp& warp = warps_[warp_index];
  if ((mask & bit) == 0) Fail(cudaErrorLaunchFailure, "is not in its own mask 0x%08x", mask);
  if ((mask & ~warp.lanes) != 0) {
    Fail(cudaErrorLaunchFailure, "has the mask 0x%08x, but the warp has the lanes 0x%08x", mask, warp.lanes);
  }

  int g = 0;
  while (g < warp.gatherings && (warp.gathering[g].primitive != primitive || warp.gathering[g].mask != mask)) ++g;
  if (g == warp.gatherings) warp.gathering[warp.gatherings++] = {primitive, mask, 0};
  warp.gathering[g].arrived |= bit;
  if (warp.gathering[g].arrived == mask) {
    warp.gathering[g] = warp.gathering[--warp.gatherings];
    Thread* const lanes = &threads_[warp_index * kWarpLanes];
    if (combine != nullptr) {
      uint64_t values[kWarpLanes], results[kWarpLanes];
      for (int l = 0; l < kWarpLanes; ++l) values[l] = lanes[l].value;
      combine(values, mask, results);
      for (uint32_t m = mask; m != 0; m &= m - 1) lanes[__builtin_ctz(m)].result = results[__builtin_ctz(m)];
    } else {
      for (uint32_t m = mask; m != 0; m &= m - 1) {
        Thread& lane = lanes[__builtin_ctz(m)];
        lane.result = lanes[lane.source].value;
      }
    }
    if (races_ && primitive == Primitive::kSyncWarp) races_->WarpBarrier(static_cast<int>(warp_index), mask);
    MakeReady(warp_index, mask);
  }
  Yield();
  return self->result;
}

uint64_t Block::Shuffle(Primitive primitive, uint32_t mask, uint64_t value, int source, Site site) {
  current_->source = source;
  if ((mask >> source & 1) == 0) {
    Arrive(primitive, mask, site);
    Fail(cudaErrorLaunchFailure, "reads lane %d, which is not in the mask 0x%08x", source, mask);
  }
  return SyncLanes(primitive, mask, value, nullptr, site);
}

// ---- Shared memory --------------------------------------------------------------------------------------------------

char* Block::DynamicShared(size_t offset, size_t bytes, size_t alignment) {
  if (offset > shared_bytes_ || bytes > shared_bytes_ - offset) {
    Fail(cudaErrorIllegalAddress, "wants bytes %zu..%zu of the launch's %zu bytes of shared memory", offset,
         offset + bytes, shared_bytes_);
  }
  if (offset % alignment != 0) {
    Fail(cudaErrorMisalignedAddress, "wants an array at byte %zu of shared memory that needs an alignment of %zu",
         offset, alignment);
  }
  return shared_ + offset;
}

void Block::CheckRaces(const void* address, size_t bytes, Access access) {
  const Races::Finding finding = races_->Check(Index(*current_), address, bytes, access);
  if (finding.kind == Races::Finding::kNone) return;
  SetFault(*current_, cudaErrorLaunchFailure, Describe(finding, static_cast<const char*>(address), bytes, access));
  Stop();
}

std::string Block::Describe(const Races::Finding& finding, const char* address, size_t bytes, Access access) const {
  std::string what = access == Access::kRead ? "reads " : access == Access::kWrite ? "writes " : "changes atomically ";
  if (address >= shared_ && address < shared_ + shared_bytes_) {
    const auto first = static_cast<size_t>(address - shared_);
    what += "bytes " + std::to_string(first) + ".." + std::to_string(first + bytes - 1) + " of shared memory, which ";
  } else {
    what += std::to_string(bytes) + " bytes of static shared memory, which ";
  }
  if (finding.kind == Races::Finding::kUninitialised) return what + "no thread of the block has written";
  const Thread& other = threads_[static_cast<size_t>(finding.thread)];
  what += "thread " + Name(other) + (finding.kind == Races::Finding::kWithRead ? " has read" : " has written");
  return "race: " + what + " with no barrier between; that thread is now " + Describe(other);
}

// ---- Faults ---------------------------------------------------------------------------------------------------------

std::string Block::Name(const Thread& thread) const {
  char text[48];
  std::snprintf(text, sizeof(text), "(%u,%u,%u)", thread.index.x, thread.index.y, thread.index.z);
  return text;
}

// What the thread does, or did last.
std::string Block::Describe(const Thread& thread) const {
  if (Exited(thread)) return "out of the kernel";
  if (thread.primitive == Primitive::kNone) return "before its first barrier";
  const char* slash = std::strrchr(thread.site.file, '/');
  return std::string(thread.waits ? "in " : "after ") + PrimitiveName(thread.primitive) + " at " +
         (slash != nullptr ? slash + 1 : thread.site.file) + ':' + std::to_string(thread.site.line);
}

void Block::SetFault(const Thread& thread, cudaError_t error, const std::string& what) {
  char where[64];
  std::snprintf(where, sizeof(where), "block (%u,%u,%u), thread ", index_.x, index_.y, index_.z);
  fault_.error = error;
  fault_.text = where + Name(thread) + ", " + Describe(thread) + ": " + what;
}

void Block::Fail(cudaError_t error, const char* format, ...) {
  char what[512];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(what, sizeof(what), format, arguments);
  va_end(arguments);
  SetFault(*current_, error, what);
  Stop();
}

void Block::Stop() { SwitchForGood(&current_->fiber, &main_); }

// Nobody can run and not all have left: one of those who wait is told of somebody who will not come. Lanes come first,
// since a block's barrier may wait for them.
void Block::Diagnose() {
  const Thread* waiting = nullptr;
  for (int i = 0; i < thread_count_; ++i) {
    const Thread& thread = threads_[static_cast<size_t>(i)];
    if (!thread.waits || (waiting != nullptr && thread.mask == 0)) continue;
    waiting = &thread;
    if (thread.mask != 0) break;
  }
  DiagnoseWait(*waiting);
}

void Block::DiagnoseWait(const Thread& thread) {
  const bool barrier = thread.mask == 0;
  const int first = barrier ? 0 : Index(thread) / kWarpLanes * kWarpLanes;
  const int count = barrier ? thread_count_ : kWarpLanes;
  for (int i = 0; i < count; ++i) {
    if (!barrier && (thread.mask >> i & 1) == 0) continue;
    const Thread& other = threads_[static_cast<size_t>(first + i)];
    if (other.waits && other.primitive == thread.primitive && other.mask == thread.mask) continue;
    std::string what = barrier ? "waits for thread " : "waits for lane " + std::to_string(i) + ", thread ";
    what += Name(other) + ", which is " + Describe(other);
    SetFault(thread, cudaErrorLaunchFailure, what);
    return;
  }
}

}  // namespace sylvester::emulator
