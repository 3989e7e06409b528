// The operators of a loss, made from one description of it: iouloss::NAME, NAME_backward, and NAME_and_gradient or
// NAME_and_slopes, for every device, and their autograd.
//
// The backward pass computes the gradient from the inputs, so that a second backward pass gives the same answer. But
// whoever computes the loss has most of the gradient at hand. So if the losses are reduced to one number, the forward
// pass also computes and saves the gradient for an upstream gradient of 1 (NAME_and_gradient). If the upstream gradient
// then is 1, the backward pass returns the saved gradient. If it is not, the backward pass multiplies the saved
// gradient by it: on the CPU the host looks at the number, on a GPU a kernel does. This is done for plain tensors only.
// Compilers and transforms see two operators, each a function of its inputs.
//
// The gradient of a region needs sums over its pixels first. There the forward pass saves a few numbers that it
// computes from these sums (NAME_and_slopes), and the backward pass computes the gradient from them and the inputs.
#pragma once

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/graph_task.h>

#include "loss_call.h"
#include "operator.h"
#include "saved_inputs.h"

namespace iouloss {

enum class Saved { gradient, slopes };

// Call describes the loss. One is made for every call of the loss:
// - Call::Inputs: its inputs. The first is the prediction;
// - Call::name and Call::saved: the operator's name, and what the forward pass saves for the backward pass;
// - Call::symmetric: whether the second input gets a gradient too. Call::swap(inputs) exchanges the first two: after
//   that, the gradient with respect to the first input is the one that the second input needs;
// - Call(inputs): checks the inputs. load(inputs) then makes the kernels' arguments of them;
// - Call::public_name(inputs, name): the name by which users know an input that gets no gradient. It is nullptr if the
//   input may require one even so;
// - the members of LossCall.
template <class Call>
struct LossOperator {
  using Inputs = typename Call::Inputs;
  using LossAndSaved = std::tuple<Tensor, Tensor>;
  static constexpr bool saves_slopes = Call::saved == Saved::slopes;
  static constexpr auto saving_suffix = saves_slopes ? "_and_slopes" : "_and_gradient";

  static void define(torch::Library& m) {
    const std::string name = Call::name;
    define_operator<loss, Inputs>(m, name, "Tensor");
    if constexpr (saves_slopes) {
      define_operator<loss_and_slopes, Inputs>(m, name + saving_suffix, "(Tensor, Tensor)");
      define_operator<backward_by_slopes, Inputs>(m, name + "_backward", "Tensor",
                                                  "Tensor grad_output, Tensor slopes, ");
    } else {
      define_operator<loss_and_gradient, Inputs>(m, name + saving_suffix, "(Tensor, Tensor)");
      define_operator<backward, Inputs>(m, name + "_backward", "Tensor", "Tensor grad_output, ");
    }
    define_autograd<loss_autograd>(m, Call::name);
  }

  // Calls the operator through the dispatcher.
  static Tensor call(const Inputs& in) {
    static const auto op = find_operator<Inputs, Tensor>(Call::name);
    return apply(in, [&](const auto&... values) { return op.call(values...); });
  }

  // ---- on a device -----------------------------------------------------------------------------------------------

  static Tensor loss(const Inputs& in) {
    Call call(in);
    Tensor losses = new_losses(call, in);
    if (losses.is_meta()) return losses;
    call.load(in);
    call.write_losses(losses);
    return losses;
  }

  static LossAndSaved loss_and_gradient(const Inputs& in) {
    Call call(in);
    TORCH_CHECK_VALUE(call.reduction != Reduction::none, "reduction: got 'none', wants 'mean' or 'sum'");
    Tensor loss = new_losses(call, in), grad = new_gradient(in);
    if (loss.is_meta()) return {loss, grad};
    call.load(in);
    call.write_gradient(grad, Upstream(), &loss);
    return {loss, grad};
  }

  static LossAndSaved loss_and_slopes(const Inputs& in) {
    Call call(in);
    Tensor losses = new_losses(call, in), slopes = call.new_slopes(in);
    if (losses.is_meta()) return {losses, slopes};
    call.load(in);
    call.write_losses(losses, &slopes);
    return {losses, slopes};
  }

  static Tensor backward(const Inputs& in, const Tensor& grad_output) {
    Call call(in);
    check_grad_output(grad_output, call, in);
    Tensor grad = new_gradient(in);
    if (grad.is_meta()) return grad;
    call.load(in);
    call.write_gradient(grad, Upstream(grad_output));
    return grad;
  }

  static Tensor backward_by_slopes(const Inputs& in, const Tensor& grad_output, const Tensor& slopes) {
    Call call(in);
    check_grad_output(grad_output, call, in);
    call.check_slopes(slopes, in);
    Tensor grad = new_gradient(in);
    if (grad.is_meta()) return grad;
    call.load(in);
    call.write_gradient(grad, Upstream(grad_output), slopes);
    return grad;
  }

  static void check_grad_output(const Tensor& grad_output, const Call& call, const Inputs& in) {
    check_shape("grad_output", grad_output, call.loss_shape(in));
    check_floating("grad_output", grad_output);
    check_device("grad_output", grad_output, "the loss", first(in));
  }

  static Tensor new_losses(const Call& call, const Inputs& in) {
    return at::empty_symint(call.loss_shape(in), first(in).options().dtype(call.loss_dtype()));
  }

  static Tensor new_gradient(const Inputs& in) { return at::empty_symint(first(in).sym_sizes(), first(in).options()); }

  // ---- autograd --------------------------------------------------------------------------------------------------

  // How many inputs get a gradient: the first input, or the first two.
  static constexpr int differentiable = Call::symmetric ? 2 : 1;

  static bool second_wants_gradient(const Inputs& in) {
    if constexpr (Call::symmetric)
      return second(in).requires_grad();
    else
      return false;
  }

  static Tensor loss_autograd(const Inputs& in) {
    for_each_tensor(in, [](int, const Tensor& tensor) { refuse_tangent(tensor); });
    if (at::GradMode::is_enabled()) {
      for_each_tensor(in, [&](int i, const Tensor& tensor) {
        if (i < differentiable || !tensor.requires_grad()) return;
        const char* name = Call::public_name(in, Inputs::names[i]);
        TORCH_CHECK_VALUE(!name, name, ": got a tensor that requires grad, wants a constant");
      });
      if (first(in).requires_grad() || second_wants_gradient(in))
        return apply(in, [](const auto&... values) { return Autograd::apply(values...); });
    }
    at::AutoDispatchBelowADInplaceOrView below;
    return call(in);
  }

  // The kernels compute reverse-mode derivatives only. Code in pure PyTorch has forward mode too.
  static void refuse_tangent(const Tensor& tensor) {
    TORCH_CHECK_VALUE(!has_tangent(tensor), Call::name,
                      ": got a tensor with a tangent (forward-mode AD), wants one without; the "
                      "functions of iouloss.functional take both");
  }

  struct Autograd : torch::autograd::Function<Autograd> {
    static Tensor forward(torch::autograd::AutogradContext* ctx, const auto&... values) {
      at::AutoDispatchBelowADInplaceOrView below;
      const Inputs in{values...};
      Tensor losses, saved;
      if (saves_slopes || (saves_gradient(first(in), in.reduction) && !second_wants_gradient(in))) {
        static const auto op = find_operator<Inputs, LossAndSaved>(std::string(Call::name) + saving_suffix);
        std::tie(losses, saved) = op.call(values...);
      } else {
        losses = call(in);
      }
      save_inputs(ctx, saved, values...);
      return losses;
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
                                                   const torch::autograd::variable_list& grad_outputs) {
      refuse_tangent(grad_outputs[0]);
      const SavedInputs<Inputs> saved(ctx);
      Inputs in = saved.inputs();
      torch::autograd::variable_list grads(std::size(Inputs::names));
      if constexpr (saves_slopes) {
        grads[0] = differentiate(in, grad_outputs[0], saved.first());
      } else {
        if ((grads[0] = rescaled(saved.first(), grad_outputs[0], in)).defined()) return grads;
        if (ctx->needs_input_grad(0)) grads[0] = differentiate(in, grad_outputs[0]);
      }
      if constexpr (Call::symmetric)
        if (ctx->needs_input_grad(1)) {
          Call::swap(in);
          grads[1] = differentiate(in, grad_outputs[0]);
        }
      return grads;
    }
  };

  // Calls the backward operator from a backward pass. With create_graph, the call goes through the operator's own
  // autograd. The Python package registers that in pure PyTorch, which can be differentiated again. Else the call
  // bypasses autograd.
  template <class... Before>
  static Tensor differentiate(const Inputs& in, const Before&... before) {
    static const auto op = find_operator<Inputs, Tensor, const Before&...>(std::string(Call::name) + "_backward");
    const auto call_op = [&](const auto&... values) { return op.call(before..., values...); };
    if (at::GradMode::is_enabled()) return apply(in, call_op);
    at::AutoDispatchBelowADInplaceOrView below;
    return apply(in, call_op);
  }

  // The saved gradient, multiplied by the upstream gradient. Undefined where the gradient must be computed anew: where
  // none was saved, where the backward pass is itself to be differentiated, where the upstream gradient is not plain,
  // and where the graph is retained, since another backward pass may then need the saved gradient.
  static Tensor rescaled(Tensor gradient, const Tensor& grad_output, const Inputs& in) {
    if (!gradient.defined() || at::GradMode::is_enabled() || !is_plain(grad_output) ||
        torch::autograd::get_current_graph_task_keep_graph())
      return {};
    if (gradient.is_cpu()) return scaled_on_cpu(gradient, grad_output);
#ifdef IOULOSS_CUDA
    at::AutoDispatchBelowADInplaceOrView below;
    Call call(in);
    call.load(in);
    call.rescale(gradient, Upstream(grad_output));
#endif
    return gradient;
  }
};

}  // namespace iouloss
