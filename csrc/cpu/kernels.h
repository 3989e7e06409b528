// The CPU kernels of one instruction set, and the choice among the sets that this build and this processor have.
#pragma once

#include <string>
#include <vector>

#include "../core/arguments.h"
#include "../core/region_arguments.h"
#include "../core/row_arguments.h"

namespace iouloss {

// A kernel works on the part [begin, end) of its batch, on the caller's thread. That of the losses writes them (in the
// number type of the computation) where `losses` is given, and returns the part's sum. So does that of the gradient
// where there is no upstream gradient: forward and backward pass in one.
template <class Arguments>
struct CpuKernel {
  double (*losses)(const Arguments&, void* losses, int64_t begin, int64_t end);
  double (*gradient)(const Arguments&, const Values& upstream, double scale, const Output& grad, int64_t begin,
                     int64_t end);
};

// Those on regions work on the parts [begin, end), see region_parts.h: one adds to the sums of each class of each part,
// one writes the gradient by what multiplies the two slopes of each cell, in the number type of the computation.
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

// Those that run here, the widest last; the active one is the last unless IOULOSS_CPU_ISA names another.
std::vector<const CpuKernels*> usable_cpu_kernels();
const CpuKernels& cpu_kernels();
inline const CpuKernel<BoxArguments>& cpu_kernel(const BoxArguments&) { return cpu_kernels().boxes; }
inline const CpuKernel<LogitArguments>& cpu_kernel(const LogitArguments&) { return cpu_kernels().logits; }
inline const CpuKernel<RowArguments>& cpu_kernel(const RowArguments&) { return cpu_kernels().rows; }
bool use_cpu_kernels(const std::string& name);  // false where there are none of that name

}  // namespace iouloss
