#include "kept_weight.h"

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "../core/kept_arguments.h"
#include "../cpu/convert.h"
#include "tensors.h"
#ifdef IOULOSS_CUDA
#include "cuda_launch.h"
#endif

namespace iouloss {
namespace {

using at::Tensor;
using OptionalTensor = std::optional<Tensor>;

constexpr int64_t chunk = 32768;  // indices that take some 10 microseconds

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

Tensor compute(const Tensor& logits, const Tensor& targets_, const OptionalTensor& class_weight_,
               std::optional<int64_t> ignore_index, int64_t class_dim, std::string_view unit) {
  TORCH_CHECK_VALUE(unit == "row" || unit == "logit", "unit: got '", unit, "', wants 'row' or 'logit'");
  const bool of_logits = unit == "logit";
  KeptArguments a{};
  check_floating("logits", logits);
  const int64_t dims = logits.dim();
  TORCH_CHECK_VALUE(class_dim >= -dims && class_dim < dims, "class_dim: got ", class_dim,
                    ", wants a dimension of the logits, ", -dims, " to ", dims - 1);
  const bool dense = check_targets(targets_, logits, class_dim < 0 ? class_dim + dims : class_dim);
  TORCH_CHECK_VALUE(!dense || of_logits, "targets: got the logits' shape for the unit 'row', wants class indices");
  TORCH_CHECK_VALUE(!dense || ignore_index, "ignore_index: got None with dense targets, wants an int");
  TORCH_CHECK_VALUE(!class_weight_ || !of_logits, "class_weight: got one for the unit 'logit', which has none");
  if (class_weight_) check_floating("class_weight", *class_weight_);
  const auto classes = logits.sym_size(class_dim);
  check_shape("class_weight", class_weight_, {classes});
  a.float64 = logits.scalar_type() == at::kDouble;
  a.ignore_index = ignore_index.value_or(no_class);
  check_device("class_weight", class_weight_, "logits", logits);
  Tensor sum = at::empty({}, logits.options().dtype(a.float64 ? at::kDouble : at::kFloat));
  if (sum.is_meta()) return sum;
  const Tensor targets = targets_.contiguous();
  const Tensor class_weight = class_weight_ ? class_weight_->contiguous() : Tensor();
  a.n = targets.numel();
  a.lowest = of_logits ? std::numeric_limits<int64_t>::min() : 0;
  a.highest = of_logits ? std::numeric_limits<int64_t>::max() : logits.size(class_dim) - 1;
  if (dense)
    a.targets = values_of(targets);
  else
    a.class_index = indices_of(targets);
  if (class_weight.defined()) a.class_weight = values_of(class_weight);
  const double each = of_logits && !dense ? double(logits.size(class_dim)) : 1;
#ifdef IOULOSS_CUDA
  if (sum.is_cuda()) {
    launch_kept_weight(a, each, sum);
    return sum;
  }
#endif
  sum.fill_(dense ? kept_targets_on_cpu(a) : each * kept_weight_on_cpu(a));
  return sum;
}

Tensor past_autograd(const Tensor& logits, const Tensor& targets, const OptionalTensor& class_weight,
                     std::optional<int64_t> ignore_index, int64_t class_dim, std::string_view unit) {
  at::AutoDispatchBelowADInplaceOrView below;  // a constant of the gradient
  return kept_weight(logits, targets, class_weight, ignore_index, class_dim, unit);
}

}  // namespace

Tensor kept_weight(const Tensor& logits, const Tensor& targets, const OptionalTensor& class_weight,
                   std::optional<int64_t> ignore_index, int64_t class_dim, std::string_view unit) {
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("iouloss::kept_weight", "").typed<decltype(kept_weight)>();
  return op.call(logits, targets, class_weight, ignore_index, class_dim, unit);
}

TORCH_LIBRARY_FRAGMENT(iouloss, m) {
  m.def(
      "kept_weight(Tensor logits, Tensor targets, Tensor? class_weight, int? ignore_index, int class_dim, str unit) -> "
      "Tensor",
      {at::Tag::pt2_compliant_tag});
  for (const auto key : device_keys) m.impl("kept_weight", torch::dispatch(key, TORCH_FN(compute)));
  for (const auto key : refused_keys)
    m.impl("kept_weight", torch::dispatch(key, torch::CppFunction::makeFromBoxedFunction<&refuse_layout>()));
  m.impl("kept_weight", torch::dispatch(c10::DispatchKey::Autograd, TORCH_FN(past_autograd)));
}

}  // namespace iouloss
