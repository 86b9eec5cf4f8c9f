// Explicit threads. A parallel call hands tasks 0..n-1 to the pool; tasks must not depend on which thread runs them.
#ifndef SYLVESTER_NATIVE_COMMON_POOL_H_
#define SYLVESTER_NATIVE_COMMON_POOL_H_

#include <sylvester/common.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

struct syl_pool {
 public:
  using TaskFunction = void (*)(void* context, int64_t task, int32_t worker);

  // Starts threads - 1 workers; may throw std::system_error.
  explicit syl_pool(int32_t threads);
  ~syl_pool();
  syl_pool(const syl_pool&) = delete;
  syl_pool& operator=(const syl_pool&) = delete;

  int32_t threads() const { return static_cast<int32_t>(workers_.size()) + 1; }

  // Runs function(context, task, worker) once for each task < tasks and returns when all are done; worker < threads()
  // names the thread, for scratch memory. Tasks are taken in ascending order. A worker that the system does not run
  // takes no tasks and is not waited for.
  void Run(int64_t tasks, TaskFunction function, void* context);

 private:
  void Stop();
  void Work(int32_t worker);
  void RunBatch(int64_t first, uint32_t tasks, TaskFunction function, void* context);
  void TakeTasks(int32_t worker);
  bool HasTasks() const;

  std::mutex call_mutex_;  // one Run at a time
  std::mutex sleep_mutex_;
  std::condition_variable wake_;
  std::vector<std::thread> workers_;

  // The batch. Whoever has taken a task may read it: it stays as it is until that task is done.
  TaskFunction function_ = nullptr;
  void* context_ = nullptr;
  int64_t end_ = 0;

  // A cache line each: the threads hammer on them.
  alignas(64) std::atomic<uint64_t> tickets_{0};  // batch number << 32 | tasks not yet taken
  alignas(64) std::atomic<uint32_t> done_{0};     // tasks of the batch
  alignas(64) std::atomic<int32_t> sleeping_{0};
  std::atomic<bool> stop_{false};
};

namespace sylvester {

inline int32_t Threads(const syl_pool* pool) { return pool == nullptr ? 1 : pool->threads(); }

// body(task, worker) for each task; on the calling thread alone when there is no pool or only one task.
template <typename Body>
void ParallelFor(syl_pool* pool, int64_t tasks, Body&& body) {
  if (pool == nullptr || pool->threads() == 1 || tasks <= 1) {
    for (int64_t task = 0; task < tasks; ++task) body(task, 0);
    return;
  }
  pool->Run(
      tasks, [](void* context, int64_t task, int32_t worker) { (*static_cast<Body*>(context))(task, worker); }, &body);
}

}  // namespace sylvester

#endif
