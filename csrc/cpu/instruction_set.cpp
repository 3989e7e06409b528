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
#define X(name, formula) {value_tile<formula, T>, gradient_tile<formula, T>},
      IOULOSS_BOX_FORMULAS(X)
#undef X
  };
  return table[int(formula)];
}

double forward_boxes(const BoxArguments& a, void* losses, int64_t begin, int64_t end) {
  if (a.float64) return box_forward(a, functions_of<double>(a.formula).value, static_cast<double*>(losses), begin, end);
  return box_forward(a, functions_of<float>(a.formula).value, static_cast<float*>(losses), begin, end);
}

void backward_boxes(const BoxArguments& a, const Values& upstream, double scale, const Output& grad, int64_t begin,
                    int64_t end) {
  if (a.float64) return box_backward(a, functions_of<double>(a.formula).gradient, upstream, scale, grad, begin, end);
  return box_backward(a, functions_of<float>(a.formula).gradient, upstream, scale, grad, begin, end);
}

template <class T>
double forward_focal(const FocalArguments& a, void* losses, int64_t begin, int64_t end) {
  const auto function =
      a.gamma == 2 ? focal_value_tile<SigmoidFocal<true>, T> : focal_value_tile<SigmoidFocal<false>, T>;
  return focal_forward<T>(a, function, static_cast<T*>(losses), begin, end);
}

template <class T>
void backward_focal(const FocalArguments& a, const Values& upstream, double scale, const Output& grad, int64_t begin,
                    int64_t end) {
  const auto function =
      a.gamma == 2 ? focal_gradient_tile<SigmoidFocal<true>, T> : focal_gradient_tile<SigmoidFocal<false>, T>;
  focal_backward<T>(a, function, upstream, scale, grad, begin, end);
}

double forward_logits(const FocalArguments& a, void* losses, int64_t begin, int64_t end) {
  return a.float64 ? forward_focal<double>(a, losses, begin, end) : forward_focal<float>(a, losses, begin, end);
}

void backward_logits(const FocalArguments& a, const Values& upstream, double scale, const Output& grad, int64_t begin,
                     int64_t end) {
  return a.float64 ? backward_focal<double>(a, upstream, scale, grad, begin, end)
                   : backward_focal<float>(a, upstream, scale, grad, begin, end);
}

}  // namespace

#define IOULOSS_NAME_(arch) #arch
#define IOULOSS_NAME(arch) IOULOSS_NAME_(arch)
#define IOULOSS_KERNELS_(arch) arch##_kernels
#define IOULOSS_KERNELS(arch) IOULOSS_KERNELS_(arch)

const CpuKernels IOULOSS_KERNELS(IOULOSS_ARCH) = {IOULOSS_NAME(IOULOSS_ARCH), forward_boxes, backward_boxes,
                                                  forward_logits, backward_logits};

}  // namespace iouloss
