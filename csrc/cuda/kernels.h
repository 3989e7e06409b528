// The CUDA kernels' launchers: raw pointers, sizes and a stream. Each launches one kernel on the current device; the
// caller checks for launch errors.
#pragma once

#include <cuda_runtime_api.h>

#include "../core/arguments.h"
#include "../core/kept_arguments.h"
#include "../core/region_arguments.h"
#include "../core/row_arguments.h"

namespace iouloss {

// 1 / divisor: from one value in the number type of the computation on the device, where there is one, else a number.
struct DeviceScale {
  const void* divisor = nullptr;
  double number = 1;  // already the scale
};

// Where a kernel leaves its losses: each in out, or scale times their sum; nowhere, without out.
struct Delivery {
  void* out = nullptr;
  bool reduced = false;
  void* scratch = nullptr;  // scratch_bytes() of it, if that is not 0; the first 8 are set to 0 in the stream
};

// Where it leaves the gradient by the first input, which an upstream gradient multiplies. Without one it is 1.
struct Gradient {
  Output out;
  Values upstream;
  bool left = false;  // it is there already, for an upstream gradient of 1; upstream is one value
};

int64_t scratch_bytes(const BoxArguments&);
int64_t scratch_bytes(const LogitArguments&);
int64_t scratch_bytes(const RowArguments&);

void launch_losses(const BoxArguments&, const Delivery&, const DeviceScale&, cudaStream_t);
void launch_losses(const LogitArguments&, const Delivery&, const DeviceScale&, cudaStream_t);
void launch_losses(const RowArguments&, const Delivery&, const DeviceScale&, cudaStream_t);

// With the sum of the losses where the delivery has an out.
void launch_gradient(const BoxArguments&, const Delivery&, const DeviceScale&, const Gradient&, cudaStream_t);
void launch_gradient(const LogitArguments&, const Delivery&, const DeviceScale&, const Gradient&, cudaStream_t);
void launch_gradient(const RowArguments&, const Delivery&, const DeviceScale&, const Gradient&, cudaStream_t);

// The sum, times `each`.
int64_t scratch_bytes(const KeptArguments&);
void launch_kept_weight(const KeptArguments&, const Delivery&, double each, cudaStream_t);

// Regions take two kernels, of which the second leaves two slopes a cell (core/region_formulas.h) where they are
// wanted, and one more for the gradient that these make. The scratch memory is always wanted.
int64_t scratch_bytes(const RegionArguments&);
void launch_region_loss(const RegionArguments&, const Delivery&, const DeviceScale&, void* slopes, cudaStream_t);
void launch_region_gradient(const RegionArguments&, void* slopes, const Gradient&, cudaStream_t);

}  // namespace iouloss
