// The operator iouloss::kept_weight.
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "../core/kept_arguments.h"
#include "../cpu/convert.h"
#include "losses.h"
#include "operator.h"
#include "tensors.h"
#ifdef IOULOSS_CUDA
#include "cuda_launch.h"
#endif

namespace iouloss {
namespace {

constexpr int64_t chunk = 32768;  // as many indices as take some 10 microseconds

double kept_weight_on_cpu(const KeptArguments& a) {
  std::vector<double> weights(a.class_weight.data ? a.highest + 1 : 0);
  if (a.class_weight.data) load_values(a.class_weight, 0, int(weights.size()), weights.data());
  return sum_over_chunks(a.n, chunk, [&](int64_t begin, int64_t end) {
    return visit_integers(a.class_index.data, a.class_index.dtype, [&](const auto* indices) {
      double sum = 0;
      for (int64_t i = begin; i < end; ++i) {
        const int64_t index = indices[i];
        if (is_kept(a, index)) sum += weights.empty() ? 1 : weights[index];
      }
      return sum;
    });
  });
}

double kept_targets_on_cpu(const KeptArguments& a) {
  return sum_over_chunks(a.n, chunk, [&](int64_t begin, int64_t end) {
    constexpr int size = 1024;
    double targets[size], sum = 0;
    for (int64_t first = begin; first < end; first += size) {
      const int n = int(std::min<int64_t>(size, end - first));
      load_values(a.targets, first, n, targets);
      sum += double(n - std::count(targets, targets + n, double(a.ignore_index)));
    }
    return sum;
  });
}

Tensor compute(const KeptWeightInputs& in) {
  TORCH_CHECK_VALUE(in.unit == "row" || in.unit == "logit", "unit: got '", in.unit, "', wants 'row' or 'logit'");
  const bool of_logits = in.unit == "logit";
  KeptArguments a{};
  check_floating("logits", in.logits);
  const int64_t dim = checked_class_dim(in.class_dim, in.logits);
  const bool dense = check_targets(in.targets, in.logits, dim);
  TORCH_CHECK_VALUE(!dense || of_logits, "targets: got the logits' shape for the unit 'row', wants class indices");
  TORCH_CHECK_VALUE(!dense || in.ignore_index, "ignore_index: got None with dense targets, wants an int");
  TORCH_CHECK_VALUE(!in.class_weight || !of_logits, "class_weight: got one for the unit 'logit', which has none");
  check_beside("class_weight", in.class_weight, {in.logits->sym_size(dim)}, "logits", in.logits);
  a.float64 = in.logits->scalar_type() == at::kDouble;
  a.ignore_index = in.ignore_index.value_or(no_class);
  Tensor sum = at::empty({}, in.logits->options().dtype(a.float64 ? at::kDouble : at::kFloat));
  if (sum.is_meta()) return sum;
  const Tensor targets = in.targets->contiguous();
  const Tensor class_weight = in.class_weight ? in.class_weight->contiguous() : Tensor();
  a.n = targets.numel();
  a.lowest = of_logits ? std::numeric_limits<int64_t>::min() : 0;
  a.highest = of_logits ? std::numeric_limits<int64_t>::max() : in.logits->size(dim) - 1;
  if (dense)
    a.targets = values_of(targets);
  else
    a.class_index = indices_of(targets);
  if (class_weight.defined()) a.class_weight = values_of(class_weight);
  const double each = of_logits && !dense ? double(in.logits->size(dim)) : 1;
#ifdef IOULOSS_CUDA
  if (sum.is_cuda()) {
    kept_weight_on_gpu(a, each, sum);
    return sum;
  }
#endif
  sum.fill_(dense ? kept_targets_on_cpu(a) : each * kept_weight_on_cpu(a));
  return sum;
}

Tensor past_autograd(const KeptWeightInputs& in) {
  at::AutoDispatchBelowADInplaceOrView below;  // the result has no gradient
  return kept_weight(in);
}

}  // namespace

Tensor kept_weight(const KeptWeightInputs& in) {
  static const auto op = find_operator<KeptWeightInputs, Tensor>("kept_weight");
  return apply(in, [](const auto&... values) { return op.call(values...); });
}

TORCH_LIBRARY_FRAGMENT(iouloss, m) {
  define_operator<compute, KeptWeightInputs>(m, "kept_weight", "Tensor");
  define_autograd<past_autograd>(m, "kept_weight");
}

}  // namespace iouloss
