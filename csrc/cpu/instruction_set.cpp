// The CPU kernels of one instruction set. Compiled once for each, with that set's compiler flags and
// IOULOSS_ARCH (baseline, avx2, avx512) and IOULOSS_VECTOR_BYTES defined.
#include "box_pairs.h"
#include "kernels.h"
#include "logits.h"

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

double forward_boxes(const BoxArguments& a, void* losses, int64_t begin, int64_t end) {
  if (a.float64) return box_forward(a, functions_of<double>(a.formula).value, static_cast<double*>(losses), begin, end);
  return box_forward(a, functions_of<float>(a.formula).value, static_cast<float*>(losses), begin, end);
}

double backward_boxes(const BoxArguments& a, const Values& upstream, double scale, const Output& grad, int64_t begin,
                      int64_t end) {
  if (a.float64) return box_backward(a, functions_of<double>(a.formula).gradient, upstream, scale, grad, begin, end);
  return box_backward(a, functions_of<float>(a.formula).gradient, upstream, scale, grad, begin, end);
}

template <bool gradient, class T>
LogitFunctions<T> functions_of(const FocalArguments& a) {
  using Square = SigmoidFocal<true>;
  using Power = SigmoidFocal<false>;
  if (a.gamma == 2) return {logit_tile<Square, false, gradient, T>, logit_tile<Square, true, gradient, T>};
  return {logit_tile<Power, false, gradient, T>, logit_tile<Power, true, gradient, T>};
}

double forward_logits(const FocalArguments& a, void* losses, int64_t begin, int64_t end) {
  if (a.float64) return focal_forward(a, functions_of<false, double>(a), static_cast<double*>(losses), begin, end);
  return focal_forward(a, functions_of<false, float>(a), static_cast<float*>(losses), begin, end);
}

double backward_logits(const FocalArguments& a, const Values& upstream, double scale, const Output& grad, int64_t begin,
                       int64_t end) {
  if (a.float64) return focal_backward(a, functions_of<true, double>(a), upstream, scale, grad, begin, end);
  return focal_backward(a, functions_of<true, float>(a), upstream, scale, grad, begin, end);
}

}  // namespace

#define IOULOSS_NAME_(arch) #arch
#define IOULOSS_NAME(arch) IOULOSS_NAME_(arch)
#define IOULOSS_KERNELS_(arch) arch##_kernels
#define IOULOSS_KERNELS(arch) IOULOSS_KERNELS_(arch)

const CpuKernels IOULOSS_KERNELS(IOULOSS_ARCH) = {IOULOSS_NAME(IOULOSS_ARCH), forward_boxes, backward_boxes,
                                                  forward_logits, backward_logits};

}  // namespace iouloss
