// The CPU kernels of one instruction set. Compiled once for each, with that set's compiler flags and
// IOULOSS_ARCH (baseline, avx2, avx512) and IOULOSS_VECTOR_BYTES defined.
#include "box_pairs.h"
#include "kernels.h"
#include "logits.h"
#include "rows.h"

namespace iouloss {
namespace {

template <class T>
struct Functions {
  TileFunction<T> value, gradient;
};

template <class T>
const Functions<T>& functions_of(BoxFormula formula) {
  static constexpr Functions<T> table[] = {
#define X(name, formula) {box_tile<formula, false, T>, box_tile<formula, true, T>},
      IOULOSS_BOX_FORMULAS(X)
#undef X
  };
  return table[int(formula)];
}

double box_losses(const BoxArguments& a, void* losses, int64_t begin, int64_t end) {
  if (a.float64)
    return write_box_losses(a, functions_of<double>(a.formula).value, static_cast<double*>(losses), begin, end);
  return write_box_losses(a, functions_of<float>(a.formula).value, static_cast<float*>(losses), begin, end);
}

double box_gradient(const BoxArguments& a, const Values& upstream, double scale, const Output& grad, int64_t begin,
                    int64_t end) {
  if (a.float64)
    return write_box_gradient(a, functions_of<double>(a.formula).gradient, upstream, scale, grad, begin, end);
  return write_box_gradient(a, functions_of<float>(a.formula).gradient, upstream, scale, grad, begin, end);
}

template <class Formula, bool gradient, class T>
constexpr LogitFunctions<T> logit_functions() {
  if constexpr (Formula::has_background)
    return {logit_tile<Formula, false, gradient, T>, logit_tile<Formula, true, gradient, T>};
  else
    return {logit_tile<Formula, false, gradient, T>, nullptr};
}

template <bool gradient, class T>
const LogitFunctions<T>& functions_of(LogitFormula formula) {
  static constexpr LogitFunctions<T> table[] = {
#define X(name, formula) logit_functions<formula, gradient, T>(),
      IOULOSS_LOGIT_FORMULAS(X)
#undef X
  };
  return table[int(formula)];
}

double logit_losses(const LogitArguments& a, void* losses, int64_t begin, int64_t end) {
  if (a.float64)
    return write_logit_losses(a, functions_of<false, double>(a.formula), static_cast<double*>(losses), begin, end);
  return write_logit_losses(a, functions_of<false, float>(a.formula), static_cast<float*>(losses), begin, end);
}

double logit_gradient(const LogitArguments& a, const Values& upstream, double scale, const Output& grad, int64_t begin,
                      int64_t end) {
  if (a.float64)
    return write_logit_gradient(a, functions_of<true, double>(a.formula), upstream, scale, grad, begin, end);
  return write_logit_gradient(a, functions_of<true, float>(a.formula), upstream, scale, grad, begin, end);
}

double row_kernel(const RowArguments& a, const Values& upstream, double scale, const Output& grad, void* losses,
                  int64_t begin, int64_t end) {
  return with_row_formula(a, [&]<class Formula>(Formula) {
    if (a.float64)
      return write_rows<Formula>(a, upstream, scale, grad, static_cast<double*>(losses), begin, end);
    return write_rows<Formula>(a, upstream, scale, grad, static_cast<float*>(losses), begin, end);
  });
}

double row_losses(const RowArguments& a, void* losses, int64_t begin, int64_t end) {
  return row_kernel(a, {}, 1, {}, losses, begin, end);
}

double row_gradient(const RowArguments& a, const Values& upstream, double scale, const Output& grad, int64_t begin,
                    int64_t end) {
  return row_kernel(a, upstream, scale, grad, nullptr, begin, end);
}

}  // namespace

#define IOULOSS_NAME_(arch) #arch
#define IOULOSS_NAME(arch) IOULOSS_NAME_(arch)
#define IOULOSS_KERNELS_(arch) arch##_kernels
#define IOULOSS_KERNELS(arch) IOULOSS_KERNELS_(arch)

const CpuKernels IOULOSS_KERNELS(IOULOSS_ARCH) = {
    IOULOSS_NAME(IOULOSS_ARCH), {box_losses, box_gradient}, {logit_losses, logit_gradient}, {row_losses, row_gradient}};

}  // namespace iouloss
