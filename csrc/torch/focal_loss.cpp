// The operators iouloss::sigmoid_focal_loss*.
#include "focal_loss.h"

#include "loss_operator.h"

namespace iouloss {
namespace {

using at::Tensor;
using OptionalTensor = std::optional<Tensor>;

struct FocalCall : LossCall<FocalArguments, 16384> {
  using Loss = decltype(sigmoid_focal_loss);
  static constexpr auto name = "sigmoid_focal_loss";
  static constexpr auto arguments =
      "Tensor logits, Tensor targets, Tensor? weight, Tensor? avg_factor, float? divisor, Tensor? alpha_per_class, "
      "float? alpha, float gamma, int ignore_index, str reduction";
  static constexpr bool symmetric = false;

  FocalCall(const Tensor& logits, const Tensor& targets, const OptionalTensor& weight, const OptionalTensor& avg_factor,
            std::optional<double> by, const OptionalTensor& alpha_per_class, std::optional<double> alpha, double gamma,
            int64_t ignore_index, std::string_view reduction_name) {
    reduction = parse_reduction(reduction_name);
    TORCH_CHECK_VALUE(!alpha || (*alpha >= 0 && *alpha <= 1), "alpha: got ", repr(*alpha),
                      ", wants a number in [0, 1], a tensor [C] or None");
    check_non_negative("gamma", gamma);
    check_floating("logits", logits);
    const bool dense = targets.scalar_type() != at::kLong;
    TORCH_CHECK_TYPE(!dense || is_supported(targets), "targets: got dtype ", dtype_name(targets),
                     ", wants a floating dtype (dense) or int64 (class indices)");
    if (weight) check_floating("weight", *weight);
    if (alpha_per_class) check_floating("alpha", *alpha_per_class);
    check_shapes(logits, targets, dense, weight, alpha_per_class);
    check_device("targets", targets, "logits", logits);
    check_device("weight", weight, "logits", logits);
    check_device("alpha", alpha_per_class, "logits", logits);
    check_device("avg_factor", avg_factor, "logits", logits);
    check_avg_factor(avg_factor, by, reduction_name);
    a.float64 = computes_in_float64(logits, targets);
    a.ignore_index = ignore_index;
    a.alpha1 = alpha.value_or(1);
    a.alpha0 = alpha ? 1 - *alpha : 1;
    a.gamma = gamma;
  }

  static void check_constants(const Tensor&, const Tensor& targets, const OptionalTensor& weight,
                              const OptionalTensor& avg_factor, std::optional<double>,
                              const OptionalTensor& alpha_per_class, const auto&...) {
    check_constant("targets", targets);
    check_constant("weight", weight);
    check_constant("avg_factor", avg_factor);
    check_constant("alpha", alpha_per_class);
  }

  Tensor new_losses(const Tensor& logits, const auto&...) const {
    return LossCall::new_losses(logits, logits.sym_sizes());
  }

  // The tensors as the kernels take them: contiguous.
  void load(const Tensor& logits_, const Tensor& targets_, const OptionalTensor& weight_,
            const OptionalTensor& avg_factor, std::optional<double> by, const OptionalTensor& alpha_, const auto&...) {
    logits = logits_.contiguous();
    targets = targets_.contiguous();
    a.n = logits.numel();
    a.classes = logits.dim() > 0 ? logits.size(-1) : 1;
    a.logits = values_of(logits);
    if (targets.scalar_type() == at::kLong)
      a.class_index = targets.const_data_ptr<int64_t>();
    else
      a.targets = values_of(targets);
    if (weight_) a.weight = values_of(weight = weight_->contiguous());
    if (alpha_) a.alpha_per_class = values_of(alpha = alpha_->contiguous());
    divisor = Divisor(avg_factor, by, reduction, a.n, a.float64);
  }

 private:
  Tensor logits, targets, weight, alpha;

  void check_shapes(const Tensor& logits, const Tensor& targets, bool dense, const OptionalTensor& weight,
                    const OptionalTensor& alpha) {
    const auto shape = logits.sym_sizes();
    TORCH_CHECK_VALUE(!shape.empty() || (dense && !alpha), "logits: got shape [], wants [..., C]");
    const auto rows = shape.empty() ? shape : shape.slice(0, shape.size() - 1);
    TORCH_CHECK_VALUE(!dense || targets.sym_sizes() == shape, "targets: got shape ", targets.sym_sizes(),
                      ", wants the logits' shape ", shape);
    TORCH_CHECK_VALUE(dense || targets.sym_sizes() == rows, "targets: got shape ", targets.sym_sizes(), ", wants ",
                      rows);
    a.weight_per_row = weight && weight->sym_sizes() != shape;
    TORCH_CHECK_VALUE(!a.weight_per_row || weight->sym_sizes() == rows, "weight: got shape ", weight->sym_sizes(),
                      ", wants ", shape, " or ", rows);
    TORCH_CHECK_VALUE(!alpha || (alpha->dim() == 1 && alpha->sym_size(0) == shape.back()), "alpha: got shape ",
                      alpha->sym_sizes(), ", wants [", shape.back(), "]");
  }
};

}  // namespace

Tensor sigmoid_focal_loss(const Tensor& logits, const Tensor& targets, const OptionalTensor& weight,
                          const OptionalTensor& avg_factor, std::optional<double> divisor,
                          const OptionalTensor& alpha_per_class, std::optional<double> alpha, double gamma,
                          int64_t ignore_index, std::string_view reduction) {
  return LossOperator<FocalCall>::call(logits, targets, weight, avg_factor, divisor, alpha_per_class, alpha, gamma,
                                       ignore_index, reduction);
}

TORCH_LIBRARY_FRAGMENT(iouloss, m) { LossOperator<FocalCall>::define(m); }

}  // namespace iouloss
