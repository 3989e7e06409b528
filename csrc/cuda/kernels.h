// The launchers of the CUDA kernels. They take raw pointers, sizes and a stream, and launch on the current device; the
// caller checks for launch errors.
#pragma once

#include <cuda_runtime_api.h>

#include "../core/arguments.h"
#include "../core/box_arguments.h"
#include "../core/kept_arguments.h"
#include "../core/logit_arguments.h"
#include "../core/region_arguments.h"
#include "../core/row_arguments.h"

namespace iouloss {

// The factor of the losses. If `divisor` is not null, it points to one number on the device, in the number type of the
// computation, and the factor is 1 / that number. Else the factor is `number`.
struct DeviceScale {
  const void* divisor = nullptr;
  double number = 1;  // the factor itself, not a divisor
};

// Where a kernel writes its losses: each of them to `out` or, if `reduced`, their sum times the scale. If `out` is
// null, it writes none.
struct Delivery {
  void* out = nullptr;
  bool reduced = false;
  void* scratch = nullptr;  // scratch_bytes() bytes, if that is not 0; the launcher sets the first 8 to 0 in the stream
};

// Where a kernel writes the gradient with respect to the first input, times the upstream gradient. If `upstream` has no
// data, the upstream gradient is 1.
struct Gradient {
  Output out;
  Values upstream;
  bool saved = false;  // out already holds the gradient for an upstream gradient of 1; upstream is then one value
};

int64_t scratch_bytes(const BoxArguments&);
int64_t scratch_bytes(const LogitArguments&);
int64_t scratch_bytes(const RowArguments&);

void launch_losses(const BoxArguments&, const Delivery&, const DeviceScale&, cudaStream_t);
void launch_losses(const LogitArguments&, const Delivery&, const DeviceScale&, cudaStream_t);
void launch_losses(const RowArguments&, const Delivery&, const DeviceScale&, cudaStream_t);

// Also delivers the sum of the losses, if the delivery has an out.
void launch_gradient(const BoxArguments&, const Delivery&, const DeviceScale&, const Gradient&, cudaStream_t);
void launch_gradient(const LogitArguments&, const Delivery&, const DeviceScale&, const Gradient&, cudaStream_t);
void launch_gradient(const RowArguments&, const Delivery&, const DeviceScale&, const Gradient&, cudaStream_t);

// Counts the class indices or targets that are kept. If there are class weights, each counts as much as the weight of
// its class. Delivers the count times `each`.
int64_t scratch_bytes(const KeptArguments&);
void launch_kept_weight(const KeptArguments&, const Delivery&, double each, cudaStream_t);

// The losses of regions take two kernels. The second one also writes the slopes of the cells (two each: see
// core/region_formulas.h), unless `slopes` is null. The gradient takes one kernel more, which computes it from the
// slopes. The scratch memory is always needed.
int64_t scratch_bytes(const RegionArguments&);
void launch_region_loss(const RegionArguments&, const Delivery&, const DeviceScale&, void* slopes, cudaStream_t);
void launch_region_gradient(const RegionArguments&, void* slopes, const Gradient&, cudaStream_t);

}  // namespace iouloss
