// The CPU kernels of one instruction set, and the choice among the sets that this build and this processor have.
#pragma once

#include <string>
#include <vector>

#include "../core/arguments.h"
#include "../core/box_arguments.h"
#include "../core/logit_arguments.h"
#include "../core/region_arguments.h"
#include "../core/row_arguments.h"

namespace iouloss {

// A kernel works on the part [begin, end) of its batch, on the caller's thread. `losses` writes the losses, in the
// number type of the computation; if its argument `losses` is null, it returns their sum instead. `gradient` writes the
// gradient. If `upstream` has no data, the upstream gradient is 1, and the sum of the losses is returned: forward and
// backward pass in one.
template <class Arguments>
struct CpuKernel {
  double (*losses)(const Arguments&, void* losses, int64_t begin, int64_t end);
  double (*gradient)(const Arguments&, const Values& upstream, double scale, const Output& grad, int64_t begin,
                     int64_t end);
};

// The kernels on regions work on the parts [begin, end): see region_parts.h. `sums` adds to the sums of each class of
// each part. `gradient` writes the gradient, given the two slopes of each cell in the number type of the computation,
// already multiplied by the upstream gradients.
struct CpuRegionKernel {
  void (*sums)(const RegionArguments&, RegionSums* sums, int64_t begin, int64_t end);
  void (*gradient)(const RegionArguments&, const void* slopes, const Output& grad, int64_t begin, int64_t end);
};

struct CpuKernels {
  const char* name;
  CpuKernel<BoxArguments> boxes;
  CpuKernel<LogitArguments> logits;
  CpuKernel<RowArguments> rows;
  CpuRegionKernel regions;
};

extern const CpuKernels baseline_kernels, avx2_kernels, avx512_kernels;

// usable_cpu_kernels() returns those that this processor can run, the widest last. cpu_kernels() returns the active
// ones: the widest, unless IOULOSS_CPU_ISA or use_cpu_kernels() names others.
std::vector<const CpuKernels*> usable_cpu_kernels();
const CpuKernels& cpu_kernels();
inline const CpuKernel<BoxArguments>& cpu_kernel(const BoxArguments&) { return cpu_kernels().boxes; }
inline const CpuKernel<LogitArguments>& cpu_kernel(const LogitArguments&) { return cpu_kernels().logits; }
inline const CpuKernel<RowArguments>& cpu_kernel(const RowArguments&) { return cpu_kernels().rows; }
bool use_cpu_kernels(const std::string& name);  // false where there are none of that name

}  // namespace iouloss
