// The operators iouloss::sigmoid_focal_loss and iouloss::sigmoid_focal_loss_backward: checks, the CPU, CUDA and Meta
// implementations, and autograd.
#include "focal_loss.h"

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

constexpr int64_t chunk = 16384;  // logits; some 10 microseconds of work, less than which a thread is not worth waking

// Checks everything, and holds what a call means.
struct Call {
  FocalArguments a{};
  Reduction reduction;
  at::ScalarType compute_dtype;
  bool dense;

  Call(const Tensor& logits, const Tensor& targets, const OptionalTensor& weight, const OptionalTensor& avg_factor,
       std::optional<double> divisor, const OptionalTensor& alpha_per_class, std::optional<double> alpha, double gamma,
       std::string_view reduction_name, int64_t ignore_index) {
    reduction = parse_reduction(reduction_name);
    TORCH_CHECK_VALUE(!alpha || (*alpha >= 0 && *alpha <= 1), "alpha: got ", repr(*alpha),
                      ", wants a number in [0, 1], a tensor [C] or None");
    check_non_negative("gamma", gamma);
    check_floating("logits", logits);
    dense = targets.scalar_type() != at::kLong;
    TORCH_CHECK_TYPE(!dense || is_supported(targets), "targets: got dtype ", dtype_name(targets),
                     ", wants a floating dtype (dense) or int64 (class indices)");
    if (weight) check_floating("weight", *weight);
    if (alpha_per_class) check_floating("alpha", *alpha_per_class);
    check_shapes(logits, targets, weight, alpha_per_class);
    check_device("targets", targets, "logits", logits);
    check_device("weight", weight, "logits", logits);
    check_device("alpha", alpha_per_class, "logits", logits);
    check_device("avg_factor", avg_factor, "logits", logits);
    check_avg_factor(avg_factor, divisor, reduction_name);
    a.float64 = computes_in_float64(logits, targets);
    a.ignore_index = ignore_index;
    a.alpha1 = alpha.value_or(1);
    a.alpha0 = alpha ? 1 - *alpha : 1;
    a.gamma = gamma;
    compute_dtype = a.float64 ? at::kDouble : at::kFloat;
  }

  void check_shapes(const Tensor& logits, const Tensor& targets, const OptionalTensor& weight,
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

  Tensor new_losses(const Tensor& logits) const {
    const auto shape = reduction == Reduction::none ? logits.sym_sizes() : c10::SymIntArrayRef{};
    return at::empty_symint(shape, logits.options().dtype(compute_dtype));
  }
};

// The tensors as the kernels take them: contiguous.
struct Inputs {
  Tensor logits, targets, weight, alpha;

  Inputs(const Tensor& logits_, const Tensor& targets_, const OptionalTensor& weight_, const OptionalTensor& alpha_,
         FocalArguments& a)
      : logits(logits_.contiguous()), targets(targets_.contiguous()) {
    a.n = logits.numel();
    a.classes = logits.dim() > 0 ? logits.size(-1) : 1;
    a.logits = values_of(logits);
    if (targets.scalar_type() == at::kLong)
      a.class_index = targets.const_data_ptr<int64_t>();
    else
      a.targets = values_of(targets);
    if (weight_) a.weight = values_of(weight = weight_->contiguous());
    if (alpha_) a.alpha_per_class = values_of(alpha = alpha_->contiguous());
  }
};

// ---- CPU ---------------------------------------------------------------------------------------------------------

void forward_cpu(const FocalArguments& a, Reduction reduction, const Divisor& divisor, Tensor& losses) {
  const auto forward = cpu_kernels().focal_forward;
  void* each = reduction == Reduction::none ? losses.mutable_data_ptr() : nullptr;
  const double sum =
      sum_over_chunks(a.n, chunk, [&](int64_t begin, int64_t end) { return forward(a, each, begin, end); });
  if (reduction != Reduction::none) divisor.write_on_cpu(sum, losses);
}

// Returns the sum of the losses where there is no upstream gradient.
double backward_cpu(const FocalArguments& a, const Values& upstream, const Divisor& divisor, Tensor& grad) {
  const auto backward = cpu_kernels().focal_backward;
  const Output out{grad.mutable_data_ptr(), dtype_of(grad)};
  const double scale = divisor.scale_on_cpu();
  return sum_over_chunks(a.n, chunk,
                         [&](int64_t begin, int64_t end) { return backward(a, upstream, scale, out, begin, end); });
}

// ---- the operators on a device -----------------------------------------------------------------------------------

Tensor forward(const Tensor& logits, const Tensor& targets, const OptionalTensor& weight,
               const OptionalTensor& avg_factor, std::optional<double> divisor, const OptionalTensor& alpha_per_class,
               std::optional<double> alpha, double gamma, std::string_view reduction, int64_t ignore_index) {
  Call call(logits, targets, weight, avg_factor, divisor, alpha_per_class, alpha, gamma, reduction, ignore_index);
  Tensor losses = call.new_losses(logits);
  if (logits.is_meta()) return losses;
  const Inputs inputs(logits, targets, weight, alpha_per_class, call.a);
  const Divisor by(avg_factor, divisor, call.reduction, call.a.n, call.a.float64);
#ifdef IOULOSS_CUDA
  if (logits.is_cuda()) return launch_on_device(call.a, call.reduction, by, losses), losses;
#endif
  forward_cpu(call.a, call.reduction, by, losses);
  return losses;
}

Tensor backward(const Tensor& grad_output, const Tensor& logits, const Tensor& targets, const OptionalTensor& weight,
                const OptionalTensor& avg_factor, std::optional<double> divisor, const OptionalTensor& alpha_per_class,
                std::optional<double> alpha, double gamma, std::string_view reduction, int64_t ignore_index) {
  Call call(logits, targets, weight, avg_factor, divisor, alpha_per_class, alpha, gamma, reduction, ignore_index);
  Tensor grad = at::empty_symint(logits.sym_sizes(), logits.options());
  if (logits.is_meta()) return grad;
  const Inputs inputs(logits, targets, weight, alpha_per_class, call.a);
  const Divisor by(avg_factor, divisor, call.reduction, call.a.n, call.a.float64);
  const Upstream upstream(grad_output);
#ifdef IOULOSS_CUDA
  if (logits.is_cuda()) return launch_on_device(call.a, upstream, by, grad), grad;
#endif
  backward_cpu(call.a, upstream.values, by, grad);
  return grad;
}

// The reduced loss and its gradient.
std::tuple<Tensor, Tensor> both(const Tensor& logits, const Tensor& targets, const OptionalTensor& weight,
                                const OptionalTensor& avg_factor, std::optional<double> divisor,
                                const OptionalTensor& alpha_per_class, std::optional<double> alpha, double gamma,
                                std::string_view reduction, int64_t ignore_index) {
  Call call(logits, targets, weight, avg_factor, divisor, alpha_per_class, alpha, gamma, reduction, ignore_index);
  Tensor loss = call.new_losses(logits), grad = new_gradient_to_leave(logits);
  if (logits.is_meta()) return {loss, grad};
  const Inputs inputs(logits, targets, weight, alpha_per_class, call.a);
  const Divisor by(avg_factor, divisor, call.reduction, call.a.n, call.a.float64);
  by.write_on_cpu(backward_cpu(call.a, {}, by, grad), loss);
  return {loss, grad};
}

// ---- autograd ----------------------------------------------------------------------------------------------------

Tensor sigmoid_focal_loss_backward(const Tensor& grad_output, const Tensor& logits, const Tensor& targets,
                                   const OptionalTensor& weight, const OptionalTensor& avg_factor,
                                   std::optional<double> divisor, const OptionalTensor& alpha_per_class,
                                   std::optional<double> alpha, double gamma, std::string_view reduction,
                                   int64_t ignore_index) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("iouloss::sigmoid_focal_loss_backward", "")
                             .typed<decltype(sigmoid_focal_loss_backward)>();
  return op.call(grad_output, logits, targets, weight, avg_factor, divisor, alpha_per_class, alpha, gamma, reduction,
                 ignore_index);
}

std::tuple<Tensor, Tensor> sigmoid_focal_loss_and_gradient(
    const Tensor& logits, const Tensor& targets, const OptionalTensor& weight, const OptionalTensor& avg_factor,
    std::optional<double> divisor, const OptionalTensor& alpha_per_class, std::optional<double> alpha, double gamma,
    std::string_view reduction, int64_t ignore_index) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("iouloss::sigmoid_focal_loss_and_gradient", "")
                             .typed<decltype(sigmoid_focal_loss_and_gradient)>();
  return op.call(logits, targets, weight, avg_factor, divisor, alpha_per_class, alpha, gamma, reduction, ignore_index);
}

struct SigmoidFocalLoss : torch::autograd::Function<SigmoidFocalLoss> {
  static Tensor forward(AutogradContext* ctx, const Tensor& logits, const Tensor& targets, const OptionalTensor& weight,
                        const OptionalTensor& avg_factor, std::optional<double> divisor,
                        const OptionalTensor& alpha_per_class, std::optional<double> alpha, double gamma,
                        std::string_view reduction, int64_t ignore_index) {
    at::AutoDispatchBelowADInplaceOrView below;
    Tensor losses, grad;
    if (leaves_gradient(logits, reduction))
      std::tie(losses, grad) = sigmoid_focal_loss_and_gradient(logits, targets, weight, avg_factor, divisor,
                                                               alpha_per_class, alpha, gamma, reduction, ignore_index);
    else
      losses = sigmoid_focal_loss(logits, targets, weight, avg_factor, divisor, alpha_per_class, alpha, gamma,
                                  reduction, ignore_index);
    ctx->save_for_backward({logits, targets, weight.value_or(Tensor()), avg_factor.value_or(Tensor()),
                            alpha_per_class.value_or(Tensor()), grad});
    ctx->saved_data["divisor"] = divisor;
    ctx->saved_data["alpha"] = alpha;
    ctx->saved_data["gamma"] = gamma;
    ctx->saved_data["reduction"] = std::string(reduction);
    ctx->saved_data["ignore_index"] = ignore_index;
    return losses;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grad_outputs) {
    const auto saved = ctx->get_saved_variables();
    const auto call = [&] {
      auto& options = ctx->saved_data;
      return sigmoid_focal_loss_backward(grad_outputs[0], saved[0], saved[1], if_defined(saved[2]),
                                         if_defined(saved[3]), options["divisor"].to<std::optional<double>>(),
                                         if_defined(saved[4]), options["alpha"].to<std::optional<double>>(),
                                         options["gamma"].toDouble(), options["reduction"].toStringView(),
                                         options["ignore_index"].toInt());
    };
    variable_list grads(10);
    grads[0] = gradient_from(saved[5], grad_outputs[0], saved[0].scalar_type());
    if (!grads[0].defined()) grads[0] = call_backward(call);
    return grads;
  }
};

Tensor forward_autograd(const Tensor& logits, const Tensor& targets, const OptionalTensor& weight,
                        const OptionalTensor& avg_factor, std::optional<double> divisor,
                        const OptionalTensor& alpha_per_class, std::optional<double> alpha, double gamma,
                        std::string_view reduction, int64_t ignore_index) {
  check_constant("targets", targets);
  check_constant("weight", weight);
  check_constant("avg_factor", avg_factor);
  check_constant("alpha", alpha_per_class);
  if (at::GradMode::is_enabled() && logits.requires_grad())
    return SigmoidFocalLoss::apply(logits, targets, weight, avg_factor, divisor, alpha_per_class, alpha, gamma,
                                   reduction, ignore_index);
  at::AutoDispatchBelowADInplaceOrView below;
  return sigmoid_focal_loss(logits, targets, weight, avg_factor, divisor, alpha_per_class, alpha, gamma, reduction,
                            ignore_index);
}

}  // namespace

Tensor sigmoid_focal_loss(const Tensor& logits, const Tensor& targets, const OptionalTensor& weight,
                          const OptionalTensor& avg_factor, std::optional<double> divisor,
                          const OptionalTensor& alpha_per_class, std::optional<double> alpha, double gamma,
                          std::string_view reduction, int64_t ignore_index) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("iouloss::sigmoid_focal_loss", "")
                             .typed<decltype(sigmoid_focal_loss)>();
  return op.call(logits, targets, weight, avg_factor, divisor, alpha_per_class, alpha, gamma, reduction, ignore_index);
}

TORCH_LIBRARY_FRAGMENT(iouloss, m) {
  m.def(
      "sigmoid_focal_loss(Tensor logits, Tensor targets, Tensor? weight, Tensor? avg_factor, float? divisor, "
      "Tensor? alpha_per_class, float? alpha, float gamma, str reduction, int ignore_index) -> Tensor",
      {at::Tag::pt2_compliant_tag});
  m.def(
      "sigmoid_focal_loss_and_gradient(Tensor logits, Tensor targets, Tensor? weight, Tensor? avg_factor, "
      "float? divisor, Tensor? alpha_per_class, float? alpha, float gamma, str reduction, int ignore_index) "
      "-> (Tensor, Tensor)",
      {at::Tag::pt2_compliant_tag});
  m.def(
      "sigmoid_focal_loss_backward(Tensor grad_output, Tensor logits, Tensor targets, Tensor? weight, "
      "Tensor? avg_factor, float? divisor, Tensor? alpha_per_class, float? alpha, float gamma, str reduction, "
      "int ignore_index) -> Tensor",
      {at::Tag::pt2_compliant_tag});
  for (const auto key : device_keys) {
    m.impl("sigmoid_focal_loss", torch::dispatch(key, TORCH_FN(forward)));
    m.impl("sigmoid_focal_loss_backward", torch::dispatch(key, TORCH_FN(backward)));
  }
  for (const auto key : {c10::DispatchKey::CPU, c10::DispatchKey::Meta})
    m.impl("sigmoid_focal_loss_and_gradient", torch::dispatch(key, TORCH_FN(both)));
  m.impl("sigmoid_focal_loss", torch::dispatch(c10::DispatchKey::Autograd, TORCH_FN(forward_autograd)));
}

}  // namespace iouloss
