// Plans: their way to the device, and what calls check of them.
#include <cinttypes>
#include <memory>
#include <new>

#include "native/common/hadamard_plan.h"
#include "native/common/kv_plan_file.h"
#include "native/cuda/errors.h"
#include "native/cuda/hadamard/plan.h"
#include "native/cuda/kv/plan.h"
#include "native/cuda/upload.h"

namespace sylvester::cuda {

syl_status CheckPointer(const char* function, const char* name, const void* pointer, uintptr_t alignment) {
  if (pointer == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: %s is NULL", function, name);
  if (reinterpret_cast<uintptr_t>(pointer) % alignment != 0) {
    return Fail(SYL_BAD_VALUE, "%s: %s is %p, must be a multiple of %zu", function, name, pointer,
                static_cast<size_t>(alignment));
  }
  return SYL_OK;
}

syl_status CheckRange(const char* function, const char* name, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return SYL_OK;
  return Fail(SYL_BAD_VALUE, "%s: %s is %" PRId64 ", must be %" PRId64 "..%" PRId64, function, name, value, low, high);
}

syl_status CheckKvBatch(const char* function, const syl_cuda_kv_batch* batch) {
  if (batch == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: batch is NULL", function);
  if (batch->struct_size != sizeof(*batch)) {
    return Fail(SYL_BAD_VALUE, "%s: batch->struct_size is %u, must be %zu", function, batch->struct_size,
                sizeof(*batch));
  }
  const struct {
    const char* name;
    int64_t value, low, high;
  } numbers[] = {{"batch->sequences", batch->sequences, 1, 65535},
                 {"batch->max_rows", batch->max_rows, 1, 65536},
                 {"batch->max_tokens", batch->max_tokens, 1, int64_t{1} << 30},
                 {"batch->tiles_stride", batch->tiles_stride, 0, int64_t{1} << 30},
                 {"batch->page_tiles", batch->page_tiles, 1, 256}};
  for (const auto& number : numbers) {
    if (syl_status s = CheckRange(function, number.name, number.value, number.low, number.high)) return s;
  }
  if (syl_status s = CheckPointer(function, "batch->row_starts", batch->row_starts, 4)) return s;
  if (syl_status s = CheckPointer(function, "batch->lengths", batch->lengths, 4)) return s;
  if (syl_status s = CheckPointer(function, "batch->tiles", batch->tiles, 4)) return s;
  return CheckPointer(function, "batch->arena", batch->arena, 64);
}

namespace {

struct Rotations {
  std::vector<uint32_t> signs[2], transposed[2];
};

syl_status FillRotation(const char* function, int side, Rotations* rotations, syl_cuda_kv_plan* plan) {
  const syl_kv_options& o = plan->plan.options;
  const int32_t rotate = side == SYL_KV_KEYS ? o.rotate_keys : o.rotate_values;
  plan->rotation[side] = {};
  if (rotate == SYL_KV_ROTATE_NONE) return SYL_OK;
  syl_hadamard_options options;
  if (syl_status s = KvRotation(function, plan->plan, rotate, &options)) return s;
  HadamardPlan hadamard;
  if (syl_status s = MakeHadamardPlan(function, &options, &hadamard)) return s;
  rotations->signs[side] = BaseSigns(hadamard.base, hadamard.options.base, false);
  rotations->transposed[side] = BaseSigns(hadamard.base, hadamard.options.base, true);
  plan->rotation[side].n = static_cast<int32_t>(hadamard.options.n);
  plan->rotation[side].log2_butterflies = hadamard.log2_butterflies;
  plan->rotation[side].base = hadamard.options.base;
  plan->rotation[side].scale = static_cast<float>(hadamard.options.scale);
  return SYL_OK;
}

// One of the vectors of the layers, of all layers.
std::vector<float> OfLayers(const KvPlan& plan, std::vector<float> KvLayer::*vector) {
  std::vector<float> all;
  for (const KvLayer& layer : plan.layers) all.insert(all.end(), (layer.*vector).begin(), (layer.*vector).end());
  return all;
}

syl_status FillPlan(const char* function, syl_cuda_kv_plan* plan) {
  Rotations rotations;
  Upload upload;
  for (const int side : {SYL_KV_KEYS, SYL_KV_VALUES}) {
    if (syl_status s = FillRotation(function, side, &rotations, plan)) return s;
    upload.Add(rotations.signs[side], &plan->rotation[side].base_signs);
    upload.Add(rotations.transposed[side], &plan->rotation[side].base_signs_transposed);
  }
  upload.Add(OfLayers(plan->plan, &KvLayer::center_keys), &plan->centers[SYL_KV_KEYS]);
  upload.Add(OfLayers(plan->plan, &KvLayer::center_values), &plan->centers[SYL_KV_VALUES]);
  upload.Add(OfLayers(plan->plan, &KvLayer::gain_keys), &plan->gains);
  cudaError_t error = cudaGetDevice(&plan->device);
  if (error == cudaSuccess) error = upload.Copy(&plan->memory);
  return error == cudaSuccess ? SYL_OK : FailCuda(function, "the plan's upload", error);
}

KvSideJob SideJob(const syl_cuda_kv_plan& plan, int32_t layer, int which) {
  const syl_kv_options& o = plan.plan.options;
  const bool keys = which == SYL_KV_KEYS;
  const KvLayer& of = plan.plan.layers[layer];
  const KvSide& side = keys ? of.keys : of.values;
  KvSideJob job = {};
  job.quantizer.grid = plan.plan.Grid(side.bits);
  job.quantizer.bits = side.bits;
  job.quantizer.lloyd_max = o.grid == SYL_KV_LLOYD_MAX;
  job.quantizer.clip_midpoint = o.clip_mode == SYL_KV_CLIP_MIDPOINT;
  job.quantizer.clip = plan.plan.Clip(which, side.bits);
  job.rotation = plan.rotation[which];
  const int64_t first = layer * plan.plan.Channels();
  job.center = plan.centers[which] == nullptr ? nullptr : plan.centers[which] + first;
  job.gain = !keys || plan.gains == nullptr ? nullptr : plan.gains + first;
  job.group = keys ? o.group_keys : o.group_values;
  job.groups_per_head = static_cast<int32_t>(plan.plan.GroupsPerHead(job.group));
  job.codes = side.codes;
  job.scales = side.scales;
  job.zeros = side.zeros;
  job.head_bytes = side.head_bytes;
  return job;
}

// Rings that hold the window and the rows of any call, sinks as the plan has them.
syl_status CheckHalves(const char* function, const syl_kv_options& o, const syl_cuda_kv_batch& batch,
                       const syl_cuda_kv_halves* halves) {
  const int64_t capacity = o.first_tokens + o.max_sinks;
  if (halves == nullptr && o.window == 0 && capacity == 0) return SYL_OK;
  if (halves == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: halves is NULL", function);
  if (halves->struct_size != sizeof(*halves)) {
    return Fail(SYL_BAD_VALUE, "%s: halves->struct_size is %u, must be %zu", function, halves->struct_size,
                sizeof(*halves));
  }
  // A row finds as halves what is less than `window` tokens before it, and so does packing what leaves the window.
  const int64_t least = o.window == 0 ? 0 : (o.window + batch.max_rows - 1 + kKvTile - 1) / kKvTile;
  if (syl_status s =
          CheckRange(function, "halves->ring_tiles", halves->ring_tiles, least, o.window == 0 ? 0 : 1 << 24)) {
    return s;
  }
  if (syl_status s = CheckRange(function, "halves->reserved", halves->reserved, 0, 0)) return s;
  if (syl_status s = CheckRange(function, "halves->sink_capacity", halves->sink_capacity, capacity, capacity)) return s;
  if (syl_status s = CheckPointer(function, "batch->slots", batch.slots, 4)) return s;
  if (o.window > 0) {
    if (syl_status s = CheckPointer(function, "halves->ring_keys", halves->ring_keys, 4)) return s;
    if (syl_status s = CheckPointer(function, "halves->ring_values", halves->ring_values, 4)) return s;
  }
  if (capacity > 0) {
    if (syl_status s = CheckPointer(function, "halves->sink_keys", halves->sink_keys, 4)) return s;
    if (syl_status s = CheckPointer(function, "halves->sink_values", halves->sink_values, 4)) return s;
    if (syl_status s = CheckPointer(function, "halves->sink_tokens", halves->sink_tokens, 4)) return s;
  }
  return SYL_OK;
}

}  // namespace

syl_status CheckRows(const char* function, const char* name, const float* rows, int64_t stride, int64_t cols) {
  if (syl_status s = CheckPointer(function, name, rows, 4)) return s;
  if (stride >= cols && stride <= int64_t{1} << 40) return SYL_OK;
  return Fail(SYL_BAD_SHAPE, "%s: the stride of %s is %" PRId64 ", must be %" PRId64 "..2^40", function, name, stride,
              cols);
}

syl_status MakeKvJob(const char* function, const syl_cuda_kv_plan* plan, int32_t layer, const syl_cuda_kv_batch* batch,
                     const syl_cuda_kv_halves* halves, KvJob* job) {
  if (plan == nullptr) return Fail(SYL_NULL_ARGUMENT, "%s: plan is NULL", function);
  const KvPlan& host = plan->plan;
  if (syl_status s = CheckRange(function, "layer", layer, 0, host.geometry.layers - 1)) return s;
  if (syl_status s = CheckKvBatch(function, batch)) return s;
  if (syl_status s = CheckHalves(function, host.options, *batch, halves)) return s;
  int device = 0;
  if (const cudaError_t error = cudaGetDevice(&device)) return FailCuda(function, "cudaGetDevice", error);
  if (device != plan->device) {
    return Fail(SYL_BAD_VALUE, "%s: plan is on device %d, must be on the thread's device, which is %d", function,
                plan->device, device);
  }
  *job = {};
  job->kv_heads = static_cast<int32_t>(host.geometry.kv_heads);
  job->head_dim = static_cast<int32_t>(host.geometry.head_dim);
  job->window_tiles = static_cast<int32_t>(host.WindowTiles());
  job->page_tiles = static_cast<int32_t>(batch->page_tiles);
  const KvLayer& of = host.layers[layer];
  job->tiles_of_layer = static_cast<uint8_t*>(batch->arena) + of.page_offset * batch->page_tiles;
  job->page_bytes = host.tile_bytes * batch->page_tiles;
  job->tile_bytes = of.tile_bytes;
  job->row_starts = batch->row_starts;
  job->lengths = batch->lengths;
  job->slots = batch->slots;
  job->tiles = batch->tiles;
  job->tiles_stride = batch->tiles_stride;
  if (halves != nullptr) {
    job->ring_tiles = halves->ring_tiles;
    job->sink_capacity = halves->sink_capacity;
    job->ring[SYL_KV_KEYS] = reinterpret_cast<__half*>(halves->ring_keys);
    job->ring[SYL_KV_VALUES] = reinterpret_cast<__half*>(halves->ring_values);
    job->sinks[SYL_KV_KEYS] = reinterpret_cast<__half*>(halves->sink_keys);
    job->sinks[SYL_KV_VALUES] = reinterpret_cast<__half*>(halves->sink_values);
    job->sink_tokens = halves->sink_tokens;
  }
  for (const int side : {SYL_KV_KEYS, SYL_KV_VALUES}) job->side[side] = SideJob(*plan, layer, side);
  return SYL_OK;
}

}  // namespace sylvester::cuda

syl_status syl_cuda_kv_plan_new(const void* file, int64_t bytes, const syl_kv_geometry* geometry,
                                syl_cuda_kv_plan** plan) {
  SYL_REQUIRE_PTR(plan);
  try {
    std::unique_ptr<syl_cuda_kv_plan, decltype(&syl_cuda_kv_plan_free)> made(new syl_cuda_kv_plan{},
                                                                             &syl_cuda_kv_plan_free);
    if (syl_status s = sylvester::LoadKvPlan(__func__, file, bytes, geometry, &made->plan)) return s;
    SYL_REQUIRE(!made->plan.PreRope(), SYL_UNSUPPORTED, "the plan's rope is PRE_ROPE (%d), which CUDA does not take",
                made->plan.options.rope);
    if (syl_status s = sylvester::cuda::FillPlan(__func__, made.get())) return s;
    *plan = made.release();
    return SYL_OK;
  } catch (const std::bad_alloc&) {
    return sylvester::Fail(SYL_OUT_OF_MEMORY, "%s: out of host memory", __func__);
  }
}

void syl_cuda_kv_plan_free(syl_cuda_kv_plan* plan) {
  if (plan == nullptr) return;
  if (plan->memory != nullptr) cudaFree(plan->memory);
  delete plan;
}
