#include "native/common/pool.h"

#include <algorithm>
#include <chrono>
#include <new>
#include <system_error>

#include "native/common/status.h"

namespace {

// Long enough to bridge the gap between two calls of a decode loop, short enough that an idle pool costs nothing.
constexpr auto kSpinTime = std::chrono::microseconds(200);
constexpr int kSpinsPerClockRead = 64;

inline void CpuRelax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Spins until done() or the spin time is over; returns done().
template <typename Done>
bool SpinUntil(Done done) {
  const auto deadline = std::chrono::steady_clock::now() + kSpinTime;
  do {
    for (int i = 0; i < kSpinsPerClockRead; ++i) {
      if (done()) return true;
      CpuRelax();
    }
  } while (std::chrono::steady_clock::now() < deadline);
  return done();
}

}  // namespace

syl_pool::syl_pool(int32_t threads) {
  workers_.reserve(static_cast<size_t>(threads - 1));
  try {
    for (int32_t worker = 1; worker < threads; ++worker) workers_.emplace_back([this, worker] { Work(worker); });
  } catch (...) {
    Stop();  // the destructor does not run for a half-built pool
    throw;
  }
}

syl_pool::~syl_pool() { Stop(); }

void syl_pool::Stop() {
  {
    std::lock_guard<std::mutex> lock(sleep_mutex_);
    stop_.store(true);
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void syl_pool::Run(int64_t tasks, TaskFunction function, void* context) {
  std::lock_guard<std::mutex> call(call_mutex_);
  constexpr int64_t kLargestBatch = UINT32_MAX;
  for (int64_t first = 0; first < tasks; first += kLargestBatch) {
    RunBatch(first, static_cast<uint32_t>(std::min(kLargestBatch, tasks - first)), function, context);
  }
}

void syl_pool::RunBatch(int64_t first, uint32_t tasks, TaskFunction function, void* context) {
  function_ = function;
  context_ = context;
  end_ = first + tasks;
  done_.store(0, std::memory_order_relaxed);
  const uint64_t batch = (tickets_.load(std::memory_order_relaxed) >> 32) + 1;
  tickets_.store(batch << 32 | tasks);  // seq_cst, against the sleeper's check
  if (sleeping_.load() > 0) {
    // The lock closes the gap between a sleeper's last look at the tickets and its wait.
    { std::lock_guard<std::mutex> lock(sleep_mutex_); }
    wake_.notify_all();
  }
  TakeTasks(0);
  const auto done = [&] { return done_.load(std::memory_order_acquire) == tasks; };
  while (!SpinUntil(done)) std::this_thread::yield();
}

bool syl_pool::HasTasks() const { return static_cast<uint32_t>(tickets_.load()) != 0; }

void syl_pool::TakeTasks(int32_t worker) {
  uint32_t taken = 0;
  uint64_t tickets = tickets_.load(std::memory_order_acquire);
  while (static_cast<uint32_t>(tickets) != 0) {
    // The batch number keeps a slow thread from taking a ticket of a batch that it has not seen.
    if (!tickets_.compare_exchange_weak(tickets, tickets - 1, std::memory_order_acq_rel)) continue;
    function_(context_, end_ - static_cast<uint32_t>(tickets), worker);
    ++taken;
    tickets = tickets_.load(std::memory_order_acquire);
  }
  if (taken != 0) done_.fetch_add(taken, std::memory_order_release);
}

void syl_pool::Work(int32_t worker) {
  const auto ready = [this] { return HasTasks() || stop_.load(); };
  for (;;) {
    if (!SpinUntil(ready)) {
      std::unique_lock<std::mutex> lock(sleep_mutex_);
      sleeping_.fetch_add(1);
      wake_.wait(lock, ready);
      sleeping_.fetch_sub(1);
    }
    if (stop_.load()) return;
    TakeTasks(worker);
  }
}

syl_status syl_pool_new(int32_t threads, syl_pool** pool) {
  SYL_REQUIRE_PTR(pool);
  SYL_REQUIRE_RANGE(threads, 1, 256);
  try {
    *pool = new syl_pool(threads);
    return SYL_OK;
  } catch (const std::bad_alloc&) {
    return sylvester::Fail(SYL_OUT_OF_MEMORY, "syl_pool_new: threads is %d: out of memory", threads);
  } catch (const std::system_error& error) {
    return sylvester::Fail(SYL_OUT_OF_MEMORY, "syl_pool_new: threads is %d: %s", threads, error.what());
  }
}

void syl_pool_free(syl_pool* pool) { delete pool; }

int32_t syl_pool_threads(const syl_pool* pool) { return sylvester::Threads(pool); }
