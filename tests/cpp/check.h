// The tests, and how they report.
#pragma once

#include "../../csrc/core/box_table.h"
#include "../../csrc/cpu/kernels.h"

namespace iouloss {

// Unless ok: prints what failed (the first few times), and lets main() return 1.
__attribute__((format(printf, 2, 3))) void check(bool ok, const char* format, ...);

// The same number for every option; no loss of boxes takes two.
inline BoxOptions<double> options_of(double number) {
  BoxOptions<double> options;
  options.gamma = options.lambda_ = options.beta = number;
  return options;
}

void test_box_formulas();
void test_logit_formulas();
void test_kernels(const CpuKernels&);

// Compiled once for each instruction set, as the kernels are.
namespace baseline {
void test_functions();
void test_conversions();
}  // namespace baseline
namespace avx2 {
void test_functions();
void test_conversions();
}  // namespace avx2
namespace avx512 {
void test_functions();
void test_conversions();
}  // namespace avx512

}  // namespace iouloss
