// The operators iouloss::box_loss and iouloss::box_loss_backward: checks, the CPU, CUDA and Meta implementations, and
// autograd.
#include "box_loss.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "../cpu/kernels.h"
#include "tensors.h"
#ifdef IOULOSS_CUDA
#include "cuda_launch.h"
#endif

namespace iouloss {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using OptionalTensor = std::optional<Tensor>;

constexpr int64_t chunk =
    4096;  // boxes; some 10 microseconds of work, less than which a thread is not worth waking for

// Checks everything, and holds what a call means.
struct Call {
  BoxArguments a{};
  Reduction reduction;
  at::ScalarType compute_dtype;

  Call(const Tensor& pred, const Tensor& target, const OptionalTensor& weight, const OptionalTensor& avg_factor,
       std::optional<double> divisor, std::string_view formula, double parameter, std::string_view reduction_name,
       std::string_view fmt, double eps) {
    a.formula = parse_formula(formula);
    reduction = parse_reduction(reduction_name);
    a.format = parse_format(fmt);
    check_non_negative("eps", eps);
    if (a.formula == BoxFormula::focal_eiou) check_non_negative("gamma", parameter);
    if (formula.starts_with("cdiou")) check_finite("lambda_", parameter);
    check_floating("pred", pred);
    check_floating("target", target);
    if (weight) check_floating("weight", *weight);
    const auto shape = pred.sym_sizes();
    TORCH_CHECK_VALUE(!shape.empty() && shape.back() == 4, "pred: got shape ", shape, ", wants [..., 4]");
    TORCH_CHECK_VALUE(target.sym_sizes() == shape, "target: got shape ", target.sym_sizes(), ", wants pred's shape ",
                      shape);
    TORCH_CHECK_VALUE(!weight || weight->sym_sizes() == shape.slice(0, shape.size() - 1), "weight: got shape ",
                      weight->sym_sizes(), ", wants ", shape.slice(0, shape.size() - 1));
    check_device("target", target, "pred", pred);
    check_device("weight", weight, "pred", pred);
    check_device("avg_factor", avg_factor, "pred", pred);
    check_avg_factor(avg_factor, divisor, reduction_name);
    a.float64 = computes_in_float64(pred, target);
    a.eps = eps;
    a.parameter = parameter;
    compute_dtype = a.float64 ? at::kDouble : at::kFloat;
  }

  Tensor new_losses(const Tensor& pred) const {
    const auto shape = pred.sym_sizes();
    const auto rows = reduction == Reduction::none ? shape.slice(0, shape.size() - 1) : c10::SymIntArrayRef{};
    return at::empty_symint(rows, pred.options().dtype(compute_dtype));
  }
};

// The tensors as the kernels take them: rows of four with any strides, one weight a row.
struct Inputs {
  Tensor pred, target, weight;

  Inputs(const Tensor& pred_, const Tensor& target_, const OptionalTensor& weight_, BoxArguments& a)
      : pred(pred_.reshape({-1, 4})), target(target_.reshape({-1, 4})) {
    if (weight_) weight = weight_->contiguous();
    a.n = pred.size(0);
    a.pred = rows(pred);
    a.target = rows(target);
    if (weight.defined()) a.weight = values_of(weight);
  }

  static Rows rows(const Tensor& t) { return {t.const_data_ptr(), dtype_of(t), t.stride(0), t.stride(1)}; }
};

// ---- CPU ---------------------------------------------------------------------------------------------------------

void forward_cpu(const BoxArguments& a, Reduction reduction, const Divisor& divisor, Tensor& losses) {
  const auto forward = cpu_kernels().box_forward;
  void* each = reduction == Reduction::none ? losses.mutable_data_ptr() : nullptr;
  const double sum =
      sum_over_chunks(a.n, chunk, [&](int64_t begin, int64_t end) { return forward(a, each, begin, end); });
  if (reduction != Reduction::none) divisor.write_on_cpu(sum, losses);
}

// Returns the sum of the losses where there is no upstream gradient.
double backward_cpu(const BoxArguments& a, const Values& upstream, const Divisor& divisor, Tensor& grad) {
  const auto backward = cpu_kernels().box_backward;
  const Output out{grad.mutable_data_ptr(), dtype_of(grad)};
  const double scale = divisor.scale_on_cpu();
  return sum_over_chunks(a.n, chunk,
                         [&](int64_t begin, int64_t end) { return backward(a, upstream, scale, out, begin, end); });
}

// ---- the operators on a device -----------------------------------------------------------------------------------

Tensor forward(const Tensor& pred, const Tensor& target, const OptionalTensor& weight, const OptionalTensor& avg_factor,
               std::optional<double> divisor, std::string_view formula, double parameter, std::string_view reduction,
               std::string_view fmt, double eps) {
  Call call(pred, target, weight, avg_factor, divisor, formula, parameter, reduction, fmt, eps);
  Tensor losses = call.new_losses(pred);
  if (pred.is_meta()) return losses;
  const Inputs inputs(pred, target, weight, call.a);
  const Divisor by(avg_factor, divisor, call.reduction, call.a.n, call.a.float64);
#ifdef IOULOSS_CUDA
  if (pred.is_cuda()) return launch_on_device(call.a, call.reduction, by, losses), losses;
#endif
  forward_cpu(call.a, call.reduction, by, losses);
  return losses;
}

// The reduced loss, and its gradient by pred.
std::tuple<Tensor, Tensor> both(const Tensor& pred, const Tensor& target, const OptionalTensor& weight,
                                const OptionalTensor& avg_factor, std::optional<double> divisor,
                                std::string_view formula, double parameter, std::string_view reduction,
                                std::string_view fmt, double eps) {
  Call call(pred, target, weight, avg_factor, divisor, formula, parameter, reduction, fmt, eps);
  Tensor loss = call.new_losses(pred), grad = new_gradient_to_leave(pred);
  if (pred.is_meta()) return {loss, grad};
  const Inputs inputs(pred, target, weight, call.a);
  const Divisor by(avg_factor, divisor, call.reduction, call.a.n, call.a.float64);
  by.write_on_cpu(backward_cpu(call.a, {}, by, grad), loss);
  return {loss, grad};
}

std::tuple<Tensor, Tensor> backward(const Tensor& grad_output, const Tensor& pred, const Tensor& target,
                                    const OptionalTensor& weight, const OptionalTensor& avg_factor,
                                    std::optional<double> divisor, std::string_view formula, double parameter,
                                    std::string_view reduction, std::string_view fmt, double eps, bool pred_needs_grad,
                                    bool target_needs_grad) {
  Call call(pred, target, weight, avg_factor, divisor, formula, parameter, reduction, fmt, eps);
  const auto new_grad = [&](const Tensor& t, bool needed) {
    return needed ? at::empty_symint(t.sym_sizes(), t.options()) : at::empty({0}, t.options());
  };
  Tensor grad_pred = new_grad(pred, pred_needs_grad), grad_target = new_grad(target, target_needs_grad);
  if (pred.is_meta()) return {grad_pred, grad_target};
  const Inputs inputs(pred, target, weight, call.a);
  const Divisor by(avg_factor, divisor, call.reduction, call.a.n, call.a.float64);
  const Upstream upstream(grad_output);
  const auto run = [&](Tensor& grad) {
#ifdef IOULOSS_CUDA
    if (pred.is_cuda()) return launch_on_device(call.a, upstream, by, grad);
#endif
    backward_cpu(call.a, upstream.values, by, grad);
  };
  if (pred_needs_grad) run(grad_pred);
  if (target_needs_grad) {
    std::swap(call.a.pred, call.a.target);  // the losses are symmetric: this is the gradient by target
    run(grad_target);
  }
  return {grad_pred, grad_target};
}

// ---- autograd ----------------------------------------------------------------------------------------------------

std::tuple<Tensor, Tensor> box_loss_backward(const Tensor& grad_output, const Tensor& pred, const Tensor& target,
                                             const OptionalTensor& weight, const OptionalTensor& avg_factor,
                                             std::optional<double> divisor, std::string_view formula, double parameter,
                                             std::string_view reduction, std::string_view fmt, double eps,
                                             bool pred_needs_grad, bool target_needs_grad) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("iouloss::box_loss_backward", "")
                             .typed<decltype(box_loss_backward)>();
  return op.call(grad_output, pred, target, weight, avg_factor, divisor, formula, parameter, reduction, fmt, eps,
                 pred_needs_grad, target_needs_grad);
}

std::tuple<Tensor, Tensor> box_loss_and_gradient(const Tensor& pred, const Tensor& target, const OptionalTensor& weight,
                                                 const OptionalTensor& avg_factor, std::optional<double> divisor,
                                                 std::string_view formula, double parameter, std::string_view reduction,
                                                 std::string_view fmt, double eps) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("iouloss::box_loss_and_gradient", "")
                             .typed<decltype(box_loss_and_gradient)>();
  return op.call(pred, target, weight, avg_factor, divisor, formula, parameter, reduction, fmt, eps);
}

struct BoxLoss : torch::autograd::Function<BoxLoss> {
  static Tensor forward(AutogradContext* ctx, const Tensor& pred, const Tensor& target, const OptionalTensor& weight,
                        const OptionalTensor& avg_factor, std::optional<double> divisor, std::string_view formula,
                        double parameter, std::string_view reduction, std::string_view fmt, double eps) {
    at::AutoDispatchBelowADInplaceOrView below;
    Tensor losses, grad_pred;
    if (leaves_gradient(pred, reduction) && !target.requires_grad())
      std::tie(losses, grad_pred) =
          box_loss_and_gradient(pred, target, weight, avg_factor, divisor, formula, parameter, reduction, fmt, eps);
    else
      losses = box_loss(pred, target, weight, avg_factor, divisor, formula, parameter, reduction, fmt, eps);
    ctx->save_for_backward({pred, target, weight.value_or(Tensor()), avg_factor.value_or(Tensor()), grad_pred});
    ctx->saved_data["divisor"] = divisor;
    ctx->saved_data["formula"] = std::string(formula);
    ctx->saved_data["parameter"] = parameter;
    ctx->saved_data["reduction"] = std::string(reduction);
    ctx->saved_data["fmt"] = std::string(fmt);
    ctx->saved_data["eps"] = eps;
    return losses;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grad_outputs) {
    const auto saved = ctx->get_saved_variables();
    variable_list grads(10);
    if ((grads[0] = gradient_from(saved[4], grad_outputs[0], saved[0].scalar_type())).defined()) return grads;
    auto& options = ctx->saved_data;
    const auto [grad_pred, grad_target] = call_backward([&] {
      return box_loss_backward(grad_outputs[0], saved[0], saved[1], if_defined(saved[2]), if_defined(saved[3]),
                               options["divisor"].to<std::optional<double>>(), options["formula"].toStringView(),
                               options["parameter"].toDouble(), options["reduction"].toStringView(),
                               options["fmt"].toStringView(), options["eps"].toDouble(), ctx->needs_input_grad(0),
                               ctx->needs_input_grad(1));
    });
    if (ctx->needs_input_grad(0)) grads[0] = grad_pred;
    if (ctx->needs_input_grad(1)) grads[1] = grad_target;
    return grads;
  }
};

Tensor forward_autograd(const Tensor& pred, const Tensor& target, const OptionalTensor& weight,
                        const OptionalTensor& avg_factor, std::optional<double> divisor, std::string_view formula,
                        double parameter, std::string_view reduction, std::string_view fmt, double eps) {
  check_constant("weight", weight);
  check_constant("avg_factor", avg_factor);
  if (at::GradMode::is_enabled() && (pred.requires_grad() || target.requires_grad()))
    return BoxLoss::apply(pred, target, weight, avg_factor, divisor, formula, parameter, reduction, fmt, eps);
  at::AutoDispatchBelowADInplaceOrView below;
  return box_loss(pred, target, weight, avg_factor, divisor, formula, parameter, reduction, fmt, eps);
}

}  // namespace

Tensor box_loss(const Tensor& pred, const Tensor& target, const OptionalTensor& weight,
                const OptionalTensor& avg_factor, std::optional<double> divisor, std::string_view formula,
                double parameter, std::string_view reduction, std::string_view fmt, double eps) {
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("iouloss::box_loss", "").typed<decltype(box_loss)>();
  return op.call(pred, target, weight, avg_factor, divisor, formula, parameter, reduction, fmt, eps);
}

TORCH_LIBRARY_FRAGMENT(iouloss, m) {
  m.def(
      "box_loss(Tensor pred, Tensor target, Tensor? weight, Tensor? avg_factor, float? divisor, str formula, "
      "float parameter, str reduction, str fmt, float eps) -> Tensor",
      {at::Tag::pt2_compliant_tag});
  m.def(
      "box_loss_and_gradient(Tensor pred, Tensor target, Tensor? weight, Tensor? avg_factor, float? divisor, "
      "str formula, float parameter, str reduction, str fmt, float eps) -> (Tensor, Tensor)",
      {at::Tag::pt2_compliant_tag});
  m.def(
      "box_loss_backward(Tensor grad_output, Tensor pred, Tensor target, Tensor? weight, Tensor? avg_factor, "
      "float? divisor, str formula, float parameter, str reduction, str fmt, float eps, bool pred_needs_grad, "
      "bool target_needs_grad) -> (Tensor, Tensor)",
      {at::Tag::pt2_compliant_tag});
  for (const auto key : device_keys) {
    m.impl("box_loss", torch::dispatch(key, TORCH_FN(forward)));
    m.impl("box_loss_backward", torch::dispatch(key, TORCH_FN(backward)));
  }
  for (const auto key : {c10::DispatchKey::CPU, c10::DispatchKey::Meta})
    m.impl("box_loss_and_gradient", torch::dispatch(key, TORCH_FN(both)));
  m.impl("box_loss", torch::dispatch(c10::DispatchKey::Autograd, TORCH_FN(forward_autograd)));
}

}  // namespace iouloss
