// The operators iouloss::logit_loss* and iouloss::regression_loss*: losses of single numbers and their targets.
#include "logit_loss.h"

#include "loss_operator.h"

namespace iouloss {
namespace {

using at::Tensor;
using OptionalTensor = std::optional<Tensor>;

// What both have: a number and its target each, and weights of each or of a row.
struct ElementCall : LossCall<LogitArguments, 16384> {
  c10::SymDimVector loss_shape(const Tensor& logits, const auto&...) const { return reduced_or(logits.sym_sizes()); }

 protected:
  Tensor logits, targets, weight;

  void check(const char* name, const Tensor& logits, const char* weight_name, const OptionalTensor& weight,
             std::string_view formula, std::string_view reduction_name) {
    a.formula = parse_logit_formula(formula);
    reduction = parse_reduction(reduction_name);
    check_floating(name, logits);
    if (!weight) return;
    check_floating(weight_name, *weight);
    check_device(weight_name, weight, name, logits);
    const auto shape = logits.sym_sizes(), rows = shape.slice(0, shape.empty() ? 0 : shape.size() - 1);
    a.weight_per_row = weight->sym_sizes() != shape;
    TORCH_CHECK_VALUE(!a.weight_per_row || (!shape.empty() && weight->sym_sizes() == rows), weight_name, ": got shape ",
                      weight->sym_sizes(), ", wants ", shape, " or ", rows);
  }

  static void check_parameters(double gamma, double second, double third) {
    check_finite("gamma", gamma);
    check_finite("second", second);
    check_finite("third", third);
  }

  // The tensors as the kernels take them: contiguous.
  void load_elements(const Tensor& logits_, const OptionalTensor& weight_, const OptionalTensor& avg_factor,
                     std::optional<double> by) {
    logits = logits_.contiguous();
    a.n = logits.numel();
    a.classes = logits.dim() > 0 ? logits.size(-1) : 1;
    a.logits = values_of(logits);
    if (weight_) a.weight = values_of(weight = weight_->contiguous());
    divisor = Divisor(avg_factor, by, reduction, a.n, a.float64);
  }

  void load_targets(const Tensor& targets_) { a.targets = values_of(targets = targets_.contiguous()); }
};

struct LogitCall : ElementCall {
  using Loss = decltype(logit_loss);
  static constexpr auto name = "logit_loss";
  static constexpr auto arguments =
      "Tensor logits, Tensor targets, Tensor? scores, Tensor? weight, Tensor? alpha_per_class, "
      "Tensor? gamma_per_class, Tensor? avg_factor, float? divisor, str formula, float alpha1, float alpha0, "
      "bool complement, float gamma, float second, float third, int? ignore_index, str reduction";
  static constexpr bool symmetric = false;
  static constexpr auto left = Left::gradient;

  LogitCall(const Tensor& logits, const Tensor& targets, const OptionalTensor& scores, const OptionalTensor& weight,
            const OptionalTensor& alpha_per_class, const OptionalTensor& gamma_per_class,
            const OptionalTensor& avg_factor, std::optional<double> by, std::string_view formula, double alpha1,
            double alpha0, bool complement, double gamma, double second, double third,
            std::optional<int64_t> ignore_index, std::string_view reduction_name) {
    check("logits", logits, "weight", weight, formula, reduction_name);
    check_finite("alpha1", alpha1);
    check_finite("alpha0", alpha0);
    check_parameters(gamma, second, third);
    const bool dense = check_targets(targets, logits, logits.dim() - 1);
    const bool has_targets = a.formula != LogitFormula::binary_entropy;
    TORCH_CHECK_VALUE(has_targets || !ignore_index, "ignore_index: got one for '", formula, "', which has no targets");
    const auto shape = logits.sym_sizes(), rows = shape.slice(0, shape.empty() ? 0 : shape.size() - 1);
    TORCH_CHECK_VALUE(!scores || !dense, "scores: got dense targets, wants class indices");
    // A varifocal loss has positives whose score is 0, which its kernel takes for negatives.
    const bool scored = a.formula > LogitFormula::equalized_focal && a.formula != LogitFormula::varifocal;
    TORCH_CHECK_VALUE(!scores || scored, "scores: got them for '", formula, "', which has none");
    check_beside(logits, "scores", scores, rows);
    for (const auto& [parameter, tensor] : {std::pair{"alpha", &alpha_per_class}, {"gamma", &gamma_per_class}}) {
      TORCH_CHECK_VALUE(!*tensor || !shape.empty(), "logits: got shape [], wants [..., C]");
      check_beside(logits, parameter, *tensor, shape.empty() ? shape : shape.slice(shape.size() - 1));
    }
    check_device("avg_factor", avg_factor, "logits", logits);
    check_avg_factor(avg_factor, by, reduction_name);
    a.float64 = computes_in_float64(logits, targets);
    a.ignore_index = ignore_index.value_or(no_class);
    a.ignores_targets = dense && ignore_index;
    a.alpha1 = alpha1;
    a.alpha0 = alpha0;
    a.complement = complement && alpha_per_class;
    a.gamma = gamma;
    a.second = second;
    a.third = third;
  }

  static void check_constants(const Tensor&, const Tensor& targets, const OptionalTensor& scores,
                              const OptionalTensor& weight, const OptionalTensor& alpha_per_class,
                              const OptionalTensor& gamma_per_class, const OptionalTensor& avg_factor,
                              std::optional<double>, std::string_view formula, const auto&...) {
    if (formula != "binary_entropy") check_constant("targets", targets);  // it has none: it is given its logits
    check_constant("scores", scores);
    check_constant("weight", weight);
    check_constant("alpha", alpha_per_class);
    check_constant("gamma", gamma_per_class);
    check_constant("avg_factor", avg_factor);
  }

  void load(const Tensor& logits_, const Tensor& targets_, const OptionalTensor& scores_, const OptionalTensor& weight_,
            const OptionalTensor& alpha_, const OptionalTensor& gamma_, const OptionalTensor& avg_factor,
            std::optional<double> by, const auto&...) {
    load_elements(logits_, weight_, avg_factor, by);
    if (targets_.dim() < logits_.dim()) {
      targets = targets_.contiguous();
      a.class_index = indices_of(targets);
    } else if (a.formula != LogitFormula::binary_entropy) {
      load_targets(targets_);
    }
    if (scores_) a.scores = values_of(scores = scores_->contiguous());
    if (alpha_) a.alpha_per_class = values_of(alpha = alpha_->contiguous());
    if (gamma_) a.gamma_per_class = values_of(gamma = gamma_->contiguous());
  }

 private:
  Tensor scores, alpha, gamma;

  static void check_beside(const Tensor& logits, const char* name, const OptionalTensor& tensor,
                           c10::SymIntArrayRef shape) {
    if (!tensor) return;
    check_floating(name, *tensor);
    check_shape(name, tensor, shape);
    check_device(name, tensor, "logits", logits);
  }
};

struct RegressionCall : ElementCall {
  using Loss = decltype(regression_loss);
  static constexpr auto name = "regression_loss";
  static constexpr auto arguments =
      "Tensor pred, Tensor target, Tensor? weight, Tensor? avg_factor, float? divisor, str formula, float gamma, "
      "float second, float third, str reduction";
  static constexpr bool symmetric = true;
  static constexpr auto left = Left::gradient;

  RegressionCall(const Tensor& pred, const Tensor& target, const OptionalTensor& weight,
                 const OptionalTensor& avg_factor, std::optional<double> by, std::string_view formula, double gamma,
                 double second, double third, std::string_view reduction_name) {
    check("pred", pred, "weight", weight, formula, reduction_name);
    check_parameters(gamma, second, third);
    check_floating("target", target);
    TORCH_CHECK_VALUE(target.sym_sizes() == pred.sym_sizes(), "target: got shape ", target.sym_sizes(),
                      ", wants pred's shape ", pred.sym_sizes());
    check_device("target", target, "pred", pred);
    check_device("avg_factor", avg_factor, "pred", pred);
    check_avg_factor(avg_factor, by, reduction_name);
    a.float64 = computes_in_float64(pred, target);
    a.alpha1 = a.alpha0 = 1;
    a.gamma = gamma;
    a.second = second;
    a.third = third;
  }

  static void check_constants(const Tensor&, const Tensor&, const OptionalTensor& weight,
                              const OptionalTensor& avg_factor, const auto&...) {
    check_constant("weight", weight);
    check_constant("avg_factor", avg_factor);
  }

  void load(const Tensor& pred, const Tensor& target, const OptionalTensor& weight_, const OptionalTensor& avg_factor,
            std::optional<double> by, const auto&...) {
    load_elements(pred, weight_, avg_factor, by);
    load_targets(target);
  }
};

}  // namespace

Tensor logit_loss(const Tensor& logits, const Tensor& targets, const OptionalTensor& scores,
                  const OptionalTensor& weight, const OptionalTensor& alpha_per_class,
                  const OptionalTensor& gamma_per_class, const OptionalTensor& avg_factor,
                  std::optional<double> divisor, std::string_view formula, double alpha1, double alpha0,
                  bool complement, double gamma, double second, double third, std::optional<int64_t> ignore_index,
                  std::string_view reduction) {
  return LossOperator<LogitCall>::call(logits, targets, scores, weight, alpha_per_class, gamma_per_class, avg_factor,
                                       divisor, formula, alpha1, alpha0, complement, gamma, second, third, ignore_index,
                                       reduction);
}

Tensor regression_loss(const Tensor& pred, const Tensor& target, const OptionalTensor& weight,
                       const OptionalTensor& avg_factor, std::optional<double> divisor, std::string_view formula,
                       double gamma, double second, double third, std::string_view reduction) {
  return LossOperator<RegressionCall>::call(pred, target, weight, avg_factor, divisor, formula, gamma, second, third,
                                            reduction);
}

TORCH_LIBRARY_FRAGMENT(iouloss, m) {
  LossOperator<LogitCall>::define(m);
  LossOperator<RegressionCall>::define(m);
}

}  // namespace iouloss
