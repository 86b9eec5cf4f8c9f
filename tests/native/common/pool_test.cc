#include "native/common/pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <ctime>
#include <random>
#include <thread>
#include <vector>

#include "tests/native/testing.h"

namespace {

using namespace sylvester_test;
using sylvester::ParallelFor;

constexpr uint32_t kSeed = 4711;

TEST(Pool, Threads) {
  EXPECT_EQ(syl_pool_threads(nullptr), 1);
  for (const int32_t threads : {1, 2, 7, 256}) EXPECT_EQ(syl_pool_threads(NewPool(threads).get()), threads);
}

TEST(Pool, BadArgumentsAreRefused) {
  syl_pool* pool = reinterpret_cast<syl_pool*>(1);
  for (const int32_t threads : {0, -1, 257, INT32_MIN, INT32_MAX}) {
    EXPECT_REFUSED(syl_pool_new(threads, &pool), SYL_BAD_VALUE, "threads is " + std::to_string(threads));
    EXPECT_EQ(pool, reinterpret_cast<syl_pool*>(1));
  }
  EXPECT_REFUSED(syl_pool_new(1, nullptr), SYL_NULL_ARGUMENT, "pool");
  syl_pool_free(nullptr);
}

// Rounds of changing size, back to back and after pauses in which the workers fall asleep.
TEST(Pool, EveryTaskRunsOnceInEveryRound) {
  std::mt19937 random(kSeed);
  for (const int32_t threads : {1, 2, 3, 8}) {
    const Pool pool = NewPool(threads);
    std::vector<std::atomic<int32_t>> runs(500);
    for (int round = 0; round < 2000; ++round) {
      const auto tasks = static_cast<int64_t>(random() % (round % 2 == 0 ? 4 : runs.size()));
      for (auto& run : runs) run.store(0, std::memory_order_relaxed);
      std::atomic<bool> worker_in_range{true};
      ParallelFor(pool.get(), tasks, [&](int64_t task, int32_t worker) {
        runs[static_cast<size_t>(task)].fetch_add(1, std::memory_order_relaxed);
        if (worker < 0 || worker >= threads) worker_in_range = false;
      });
      ASSERT_TRUE(worker_in_range);
      for (size_t task = 0; task < runs.size(); ++task) {
        ASSERT_EQ(runs[task].load(), static_cast<int64_t>(task) < tasks ? 1 : 0)
            << "round " << round << " task " << task << " threads " << threads << " seed " << kSeed;
      }
      if (round % 400 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }
}

// A worker's number belongs to one thread at a time: callers keep scratch memory by it. No task ends before all have
// begun, so that every thread holds exactly one.
TEST(Pool, EveryThreadHasItsNumber) {
  for (const int32_t threads : {2, 4, 16}) {
    const Pool pool = NewPool(threads);
    for (int round = 0; round < 20; ++round) {
      std::vector<std::atomic<int32_t>> uses(static_cast<size_t>(threads));
      std::atomic<int32_t> begun{0};
      ParallelFor(pool.get(), threads, [&](int64_t, int32_t worker) {
        uses[static_cast<size_t>(worker)].fetch_add(1);
        begun.fetch_add(1);
        while (begun.load() < threads) std::this_thread::yield();
      });
      for (const auto& use : uses) ASSERT_EQ(use.load(), 1) << threads;
    }
  }
}

// What the tasks have written can be read after the call, without any synchronisation of the caller's own.
TEST(Pool, ResultsAreVisibleToTheCaller) {
  const Pool pool = NewPool(4);
  std::vector<int64_t> values(64);
  int64_t expected = 0;
  for (int64_t round = 0; round < 2000; ++round) {
    ParallelFor(pool.get(), 64, [&](int64_t task, int32_t) { values[static_cast<size_t>(task)] += round * task; });
    expected += round * 63 * 64 / 2;
    int64_t sum = 0;
    for (const int64_t value : values) sum += value;
    ASSERT_EQ(sum, expected) << round;
  }
}

TEST(Pool, ConcurrentCallsWaitForEachOther) {
  constexpr int kCallers = 4, kRounds = 20, kTasks = 6;
  const Pool pool = NewPool(3);
  std::atomic<int> ready{0}, inside{0};
  std::atomic<bool> mixed{false};
  std::atomic<int64_t> done{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < kCallers; ++caller) {
    callers.emplace_back([&] {
      ready.fetch_add(1);
      while (ready.load() < kCallers) std::this_thread::yield();
      for (int round = 0; round < kRounds; ++round) {
        std::atomic<int> begun{0}, ended{0};
        ParallelFor(pool.get(), kTasks, [&](int64_t, int32_t) {
          if (begun.fetch_add(1) == 0 && inside.fetch_add(1) != 0) mixed = true;
          std::this_thread::sleep_for(std::chrono::microseconds(50));
          done.fetch_add(1);
          if (ended.fetch_add(1) == kTasks - 1) inside.fetch_sub(1);
        });
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_FALSE(mixed);
  EXPECT_EQ(done, kCallers * kRounds * kTasks);
}

double ProcessorSeconds() {
  timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

// Seven workers that kept spinning would burn 0.5 s at least on any two processors; asleep they burn next to nothing.
TEST(Pool, AnIdlePoolUsesNoProcessorTime) {
  const Pool pool = NewPool(8);
  std::atomic<int64_t> sum{0};
  for (int round = 0; round < 10; ++round) ParallelFor(pool.get(), 100, [&](int64_t task, int32_t) { sum += task; });
  EXPECT_EQ(sum, 10 * 4950);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  const double before = ProcessorSeconds();
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  EXPECT_LT(ProcessorSeconds() - before, 0.1);
  // And wakes up again.
  ParallelFor(pool.get(), 100, [&](int64_t task, int32_t) { sum += task; });
  EXPECT_EQ(sum, 11 * 4950);
}

TEST(Pool, ManyComeAndGo) {
  for (int i = 0; i < 300; ++i) {
    const Pool pool = NewPool(1 + i % 5);
    std::atomic<int64_t> sum{0};
    if (i % 2 == 0) ParallelFor(pool.get(), 10, [&](int64_t task, int32_t) { sum += task; });
    EXPECT_EQ(sum, i % 2 == 0 ? 45 : 0);
  }
}

}  // namespace
