// The operators iouloss::box_loss*: a loss of paired boxes.
#include "box_loss.h"

#include "loss_operator.h"

namespace iouloss {
namespace {

using at::Tensor;
using OptionalTensor = std::optional<Tensor>;

struct BoxCall : LossCall<BoxArguments, 4096> {
  using Loss = decltype(box_loss);
  static constexpr auto name = "box_loss";
  static constexpr auto arguments =
      "Tensor pred, Tensor target, Tensor? weight, Tensor? mask, Tensor? avg_factor, float? divisor, str formula, "
      "float parameter, str fmt, float eps, str reduction";
  static constexpr bool symmetric = true;
  static constexpr auto left = Left::gradient;

  BoxCall(const Tensor& pred, const Tensor& target, const OptionalTensor& weight, const OptionalTensor& mask,
          const OptionalTensor& avg_factor, std::optional<double> by, std::string_view formula, double parameter,
          std::string_view fmt, double eps, std::string_view reduction_name) {
    a.formula = parse_box_formula(formula);
    reduction = parse_reduction(reduction_name);
    a.format = parse_format(fmt);
    check_non_negative("eps", eps);
    if (a.formula == BoxFormula::focal_eiou) check_non_negative("gamma", parameter);
    if (formula.starts_with("cdiou")) check_finite("lambda_", parameter);
    if (formula.starts_with("bounded_iou")) check_positive("beta", parameter);
    check_floating("pred", pred);
    check_floating("target", target);
    if (weight) check_floating("weight", *weight);
    TORCH_CHECK_TYPE(!mask || mask->scalar_type() == at::kBool, "mask: got dtype ", dtype_name(*mask),
                     ", wants torch.bool");
    const auto shape = pred.sym_sizes();
    TORCH_CHECK_VALUE(!shape.empty() && shape.back() == 4, "pred: got shape ", shape, ", wants [..., 4]");
    TORCH_CHECK_VALUE(target.sym_sizes() == shape, "target: got shape ", target.sym_sizes(), ", wants pred's shape ",
                      shape);
    check_shape("weight", weight, each(pred));
    check_shape("mask", mask, each(pred));
    check_device("target", target, "pred", pred);
    check_device("weight", weight, "pred", pred);
    check_device("mask", mask, "pred", pred);
    check_device("avg_factor", avg_factor, "pred", pred);
    check_avg_factor(avg_factor, by, reduction_name);
    a.float64 = computes_in_float64(pred, target);
    a.eps = eps;
    a.parameter = parameter;
  }

  static void check_constants(const Tensor&, const Tensor&, const OptionalTensor& weight, const OptionalTensor&,
                              const OptionalTensor& avg_factor, const auto&...) {
    check_constant("weight", weight);
    check_constant("avg_factor", avg_factor);
  }

  static void swap(auto& arguments) {
    LossCall::swap(arguments);
    std::string_view& formula = std::get<6>(arguments);
    formula = box_formula_names[int(swapped(parse_box_formula(formula)))];
  }

  static c10::SymIntArrayRef each(const Tensor& boxes) { return boxes.sym_sizes().slice(0, boxes.dim() - 1); }

  c10::SymDimVector loss_shape(const Tensor& pred, const auto&...) const { return reduced_or(each(pred)); }

  // The tensors as the kernels take them: rows of four with any strides, one weight and one mark of the mask a row.
  void load(const Tensor& pred_, const Tensor& target_, const OptionalTensor& weight_, const OptionalTensor& mask_,
            const OptionalTensor& avg_factor, std::optional<double> by, const auto&...) {
    pred = pred_.reshape({-1, 4});
    target = target_.reshape({-1, 4});
    a.n = pred.size(0);
    a.pred = rows(pred);
    a.target = rows(target);
    if (weight_) a.weight = values_of(weight = weight_->contiguous());
    if (mask_) mask = mask_->contiguous();
    if (mask_) a.mask = mask.const_data_ptr<bool>();
    divisor = Divisor(avg_factor, by, reduction, a.n, a.float64);
  }

 private:
  Tensor pred, target, weight, mask;

  static Rows rows(const Tensor& t) { return {t.const_data_ptr(), dtype_of(t), t.stride(0), t.stride(1)}; }
};

}  // namespace

Tensor box_loss(const Tensor& pred, const Tensor& target, const OptionalTensor& weight, const OptionalTensor& mask,
                const OptionalTensor& avg_factor, std::optional<double> divisor, std::string_view formula,
                double parameter, std::string_view fmt, double eps, std::string_view reduction) {
  return LossOperator<BoxCall>::call(pred, target, weight, mask, avg_factor, divisor, formula, parameter, fmt, eps,
                                     reduction);
}

TORCH_LIBRARY_FRAGMENT(iouloss, m) { LossOperator<BoxCall>::define(m); }

}  // namespace iouloss
