// The way from the operators to the CUDA kernels: sets the device and the stream, and takes scratch memory from torch's
// allocator.
#pragma once

#include <ATen/core/Tensor.h>

#include "../core/arguments.h"
#include "../core/box_arguments.h"
#include "../core/kept_arguments.h"
#include "../core/logit_arguments.h"
#include "../core/region_arguments.h"
#include "../core/row_arguments.h"
#include "tensors.h"

namespace iouloss {

// These three are compiled for the arguments of boxes, logits and rows. See LossCall for what they do.
template <class Arguments>
void losses_on_gpu(const Arguments& a, Reduction reduction, const Divisor& divisor, at::Tensor& losses);

template <class Arguments>
void gradient_on_gpu(const Arguments& a, const Upstream& upstream, const Divisor& divisor, at::Tensor& grad,
                     at::Tensor* loss);

template <class Arguments>
void rescale_on_gpu(const Arguments& a, const Upstream& upstream, const Divisor& divisor, at::Tensor& saved);

void kept_weight_on_gpu(const KeptArguments& a, double each, at::Tensor& sum);

// The losses of regions and, unless `slopes` is null, the slopes of their cells.
void region_loss_on_gpu(const RegionArguments& a, Reduction reduction, const Divisor& divisor, at::Tensor& losses,
                        void* slopes);

void region_gradient_on_gpu(const RegionArguments& a, const Upstream& upstream, void* slopes, at::Tensor& grad);

}  // namespace iouloss
