// What Python calls (executor.py). Errors come back as text; an empty text is success.
#include <cstdio>
#include <exception>

#include "decoder.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace emulated {

struct LaunchRequest {
  const Kernel* kernel;
  uint32_t grid[3], block[3];
  const std::byte* params;
  Allocation* allocations;
  InstructionCount* counts;
  Totals* totals;
  char* error;
  uint64_t param_bytes, allocation_count, error_bytes, seed, budget;
  uint32_t dynamic_shared;
  int32_t device;
};

template <class F>
void reporting(char* error, size_t bytes, F f) {
  error[0] = 0;
  try {
    f();
  } catch (const std::exception& e) {
    std::snprintf(error, bytes, "%s", e.what());
  }
}

EXPORT Kernel* emulated_kernel_new(const EncodedKernel* encoded, char* error, size_t error_bytes) {
  Kernel* kernel = nullptr;
  reporting(error, error_bytes, [&] { kernel = new Kernel(*encoded); });
  return kernel;
}

EXPORT void emulated_kernel_delete(Kernel* kernel) { delete kernel; }

EXPORT void emulated_launch(const LaunchRequest* r) {
  reporting(r->error, r->error_bytes, [&] {
    Launch launch{*r->kernel,
                  {r->grid[0], r->grid[1], r->grid[2]},
                  {r->block[0], r->block[1], r->block[2]},
                  r->dynamic_shared,
                  r->params,
                  r->param_bytes,
                  Memory({r->allocations, size_t(r->allocation_count)}, r->device),
                  Order(),
                  r->counts,
                  *r->totals,
                  r->seed * 0x9E3779B97F4A7C15 + 1};
    launch.order = Order(launch.warps_per_block() * warp_size, uint64_t(r->grid[0]) * r->grid[1] * r->grid[2]);
    launch.run(int64_t(r->budget));
  });
}

}  // namespace emulated
