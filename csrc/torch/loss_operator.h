// The operators of a loss, from one description of it: iouloss::NAME, NAME_backward and NAME_and_gradient or
// NAME_and_slopes on every device, and their autograd.
//
// The backward pass recomputes from the inputs, so that a second one gives the same answer. But most of a gradient is
// at hand once the loss is computed. So where one number weighs all losses, the forward pass saves the gradient for an
// upstream gradient of 1 (NAME_and_gradient). If the upstream gradient is 1, the backward pass returns what was saved.
// If not, it scales it: on the CPU the host looks at the number, on a GPU a kernel does. This holds for plain tensors
// only: compilers and transforms see two operators, each a function of its inputs.
//
// The gradient of a region needs sums over its pixels first. There the forward pass saves a few numbers made of these
// sums (NAME_and_slopes), and the backward pass makes the gradient of them and the inputs.
#pragma once

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/graph_task.h>

#include "loss_call.h"
#include "operator.h"
#include "saved_inputs.h"

namespace iouloss {

enum class Saved { gradient, slopes };

// Call describes the loss, and is made for every call of it:
// - Call::Inputs         its inputs. The first is the prediction;
// - Call::name, ::saved  the operator's name, and what the forward pass saves for the backward pass;
// - Call::symmetric      whether the second input gets a gradient too. Call::swap(inputs) exchanges the two: the first
//                        gradient of that call is the second gradient of this one;
// - Call(inputs)         checks them; load(inputs) then makes the kernels' arguments of them;
// - Call::public_name(inputs, name)  the name users know; nullptr if the input may require a gradient although it gets
// none;
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

  // Through the dispatcher.
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

  // The inputs that get a gradient are the first.
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

  // The kernels give derivatives of reverse mode; what is pure PyTorch gives both.
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

  // The backward operator, called from a backward pass: through its own autograd where create_graph asks for it (the
  // Python package registers that: pure PyTorch, which can be differentiated again), else past it.
  template <class... Before>
  static Tensor differentiate(const Inputs& in, const Before&... before) {
    static const auto op = find_operator<Inputs, Tensor, const Before&...>(std::string(Call::name) + "_backward");
    const auto call_op = [&](const auto&... values) { return op.call(before..., values...); };
    if (at::GradMode::is_enabled()) return apply(in, call_op);
    at::AutoDispatchBelowADInplaceOrView below;
    return apply(in, call_op);
  }

  // The saved gradient, scaled by what is upstream. Undefined where it must be computed anew: where there is none, and
  // where the graph is kept, since then another backward pass may ask for it.
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
