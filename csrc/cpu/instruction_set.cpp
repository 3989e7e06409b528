// The CPU kernels of one instruction set. This file is compiled once for each, with the compiler flags of that set, and
// with IOULOSS_ARCH (baseline, avx2, avx512) and IOULOSS_VECTOR_BYTES defined.
#include "boxes.h"
#include "kernels.h"
#include "logits.h"
#include "regions.h"
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
#define X(name, formula, ...) {box_tile<formula, false, T>, box_tile<formula, true, T>},
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
#define X(name, formula, ...) logit_functions<formula, gradient, T>(),
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
    if (a.float64) return write_rows<Formula>(a, upstream, scale, grad, static_cast<double*>(losses), begin, end);
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

// Calls f with the types of a call: the kind of target, the kind of term, and the number type.
template <class F>
void with_region_types(const RegionArguments& a, F f) {
  const auto with_number = [&]<class Target, class Terms>() {
    a.float64 ? f.template operator()<Target, Terms, double>() : f.template operator()<Target, Terms, float>();
  };
  const auto with_target = [&]<class Terms>() {
    a.class_index ? with_number.template operator()<ClassTargets, Terms>()
                  : with_number.template operator()<DenseTargets, Terms>();
  };
  a.squares ? with_target.template operator()<SquareTerms>() : with_target.template operator()<LinearTerms>();
}

void region_sums(const RegionArguments& a, RegionSums* sums, int64_t begin, int64_t end) {
  with_region_types(a, [&]<class Target, class Terms, class T>() {
    switch (a.activation) {
      case Activation::softmax: return add_region_sums<Competing<Target, T>, Target, Terms, T>(a, sums, begin, end);
      case Activation::sigmoid:
        return add_region_sums<Separate<SigmoidOf, Target, T>, Target, Terms, T>(a, sums, begin, end);
      default: return add_region_sums<Separate<GivenProbability, Target, T>, Target, Terms, T>(a, sums, begin, end);
    }
  });
}

void region_gradient(const RegionArguments& a, const void* slopes, const Output& grad, int64_t begin, int64_t end) {
  with_region_types(a, [&]<class Target, class Terms, class T>() {
    const auto* s = static_cast<const Slopes<T>*>(slopes);
    switch (a.activation) {
      case Activation::softmax: return write_competing_gradient<Target, Terms, T>(a, s, grad, begin, end);
      case Activation::sigmoid: return write_separate_gradient<SigmoidOf, Target, Terms, T>(a, s, grad, begin, end);
      default: return write_separate_gradient<GivenProbability, Target, Terms, T>(a, s, grad, begin, end);
    }
  });
}

}  // namespace

#define IOULOSS_NAME_(arch) #arch
#define IOULOSS_NAME(arch) IOULOSS_NAME_(arch)
#define IOULOSS_KERNELS_(arch) arch##_kernels
#define IOULOSS_KERNELS(arch) IOULOSS_KERNELS_(arch)

const CpuKernels IOULOSS_KERNELS(IOULOSS_ARCH) = {IOULOSS_NAME(IOULOSS_ARCH),
                                                  {box_losses, box_gradient},
                                                  {logit_losses, logit_gradient},
                                                  {row_losses, row_gradient},
                                                  {region_sums, region_gradient}};

}  // namespace iouloss
