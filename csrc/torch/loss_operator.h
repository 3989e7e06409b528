// The operators of a loss, from one description of it: iouloss::NAME, NAME_backward and NAME_and_gradient or
// NAME_and_slopes on every device, and their autograd.
//
// The backward recomputes from the inputs, so a second backward gives the same answer. But most of a gradient is at
// hand once the loss is computed. So where one number weighs all losses, the forward pass leaves the gradient for an
// upstream gradient of 1 (NAME_and_gradient), and the backward pass has nothing to compute if that is what it is. It is
// the host that looks on the CPU, the kernel on a GPU. Only for tensors that are just that: compilers and transforms
// see two operators, each a function of its inputs.
//
// Where a gradient needs sums over many inputs first, the forward pass leaves what they come to, a few numbers
// (NAME_and_slopes), and the backward pass makes the gradient of these and the inputs.
#pragma once

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/graph_task.h>
#include <torch/library.h>

#include <array>
#include <string>
#include <tuple>
#include <utility>

#include "loss_call.h"

namespace iouloss {

enum class Left { gradient, slopes };

// Call describes the loss, and is made for every call of it:
// - Call::Loss           the operator's type. Its first argument is what the gradient is by, its last the reduction;
// - Call::name, ::arguments  the operator's name, and its arguments as a schema has them;
// - Call::left           what the forward pass leaves to the backward pass;
// - Call::symmetric      whether the second argument gets a gradient too: that by the first of what swap() makes of the
//                        arguments;
// - Call(arguments...)   checks them; load(arguments...) then makes the kernels' arguments of them;
// - Call::check_constants(arguments...)  raises where a tensor that gets no gradient requires one, as it is asked only
//                        where there is a gradient to give;
// - the members of LossCall.
template <class Call, class Loss = typename Call::Loss>
struct LossOperator;

template <class Call, class... Args>
struct LossOperator<Call, at::Tensor(Args...)> {
  using Tensor = at::Tensor;
  using Loss = Tensor(Args...);
  using LossAndLeft = std::tuple<Tensor, Tensor>(Args...);
  static constexpr bool leaves_slopes = Call::left == Left::slopes;
  static constexpr auto left_suffix = leaves_slopes ? "_and_slopes" : "_and_gradient";

  // ---- through the dispatcher ------------------------------------------------------------------------------------

  template <class Type>
  static c10::TypedOperatorHandle<Type> find(const char* suffix) {
    const auto name = std::string("iouloss::") + Call::name + suffix;
    return c10::Dispatcher::singleton().findSchemaOrThrow(name.c_str(), "").template typed<Type>();
  }

  static Tensor call(Args... args) {
    static const auto op = find<Loss>("");
    return op.call(args...);
  }

  static void define(torch::Library& m) {
    const auto define_one = [&](const std::string& suffix, const std::string& before, const char* results) {
      m.def(torch::schema((Call::name + suffix + "(" + before + Call::arguments + ") -> " + results).c_str()),
            {at::Tag::pt2_compliant_tag});
    };
    define_one("", "", "Tensor");
    define_one(left_suffix, "", "(Tensor, Tensor)");
    define_one("_backward", leaves_slopes ? "Tensor grad_output, Tensor slopes, " : "Tensor grad_output, ", "Tensor");
    const std::string name = Call::name;
    for (const auto key : device_keys) {
      m.impl(name.c_str(), torch::dispatch(key, TORCH_FN(loss)));
      if constexpr (leaves_slopes) {
        m.impl((name + left_suffix).c_str(), torch::dispatch(key, TORCH_FN(loss_and_slopes)));
        m.impl((name + "_backward").c_str(), torch::dispatch(key, TORCH_FN(backward_by_slopes)));
      } else {
        m.impl((name + left_suffix).c_str(), torch::dispatch(key, TORCH_FN(loss_and_gradient)));
        m.impl((name + "_backward").c_str(), torch::dispatch(key, TORCH_FN(backward)));
      }
    }
    for (const auto key : refused_keys)
      for (const auto suffix : {"", left_suffix, "_backward"})
        m.impl((name + suffix).c_str(),
               torch::dispatch(key, torch::CppFunction::makeFromBoxedFunction<&refuse_layout>()));
    m.impl(name.c_str(), torch::dispatch(c10::DispatchKey::Autograd, TORCH_FN(loss_autograd)));
  }

  // ---- on a device -----------------------------------------------------------------------------------------------

  static Tensor loss(Args... args) {
    Call call(args...);
    Tensor losses = new_losses(call, args...);
    if (losses.is_meta()) return losses;
    call.load(args...);
    call.write_losses(losses);
    return losses;
  }

  static std::tuple<Tensor, Tensor> loss_and_gradient(Args... args) {
    Call call(args...);
    TORCH_CHECK_VALUE(call.reduction != Reduction::none, "reduction: got 'none', wants 'mean' or 'sum'");
    Tensor loss = new_losses(call, args...), grad = new_gradient(args...);
    if (loss.is_meta()) return {loss, grad};
    call.load(args...);
    call.write_gradient(grad, Upstream(), &loss);
    return {loss, grad};
  }

  static std::tuple<Tensor, Tensor> loss_and_slopes(Args... args) {
    Call call(args...);
    Tensor losses = new_losses(call, args...), slopes = call.new_slopes(args...);
    if (losses.is_meta()) return {losses, slopes};
    call.load(args...);
    call.write_losses(losses, &slopes);
    return {losses, slopes};
  }

  static Tensor backward(const Tensor& grad_output, Args... args) {
    Call call(args...);
    check_grad_output(grad_output, call, args...);
    return gradient_by(call, [&](Tensor& grad) { call.write_gradient(grad, Upstream(grad_output)); }, args...);
  }

  static Tensor backward_by_slopes(const Tensor& grad_output, const Tensor& slopes, Args... args) {
    Call call(args...);
    check_grad_output(grad_output, call, args...);
    call.check_slopes(slopes, args...);
    return gradient_by(call, [&](Tensor& grad) { call.write_gradient(grad, Upstream(grad_output), slopes); }, args...);
  }

  static void check_grad_output(const Tensor& grad_output, const Call& call, const Tensor& input,
                                const auto&... others) {
    const auto shape = call.loss_shape(input, others...);
    check_shape("grad_output", grad_output, shape);
    check_floating("grad_output", grad_output);
    check_device("grad_output", grad_output, "the loss", input);
  }

  static Tensor gradient_by(Call& call, const auto& write, Args... args) {
    Tensor grad = new_gradient(args...);
    if (grad.is_meta()) return grad;
    call.load(args...);
    write(grad);
    return grad;
  }

  static Tensor new_losses(const Call& call, const Tensor& input, const auto&... others) {
    return at::empty_symint(call.loss_shape(input, others...), input.options().dtype(call.loss_dtype()));
  }

  static Tensor new_gradient(const Tensor& input, const auto&...) {
    return at::empty_symint(input.sym_sizes(), input.options());
  }

  // ---- autograd --------------------------------------------------------------------------------------------------

  static bool wants_second(const auto& arguments) {
    if constexpr (Call::symmetric)
      return std::get<1>(arguments).requires_grad();
    else
      return false;
  }

  static Tensor loss_autograd(Args... args) {
    (refuse_tangent(args), ...);
    if (at::GradMode::is_enabled()) {
      Call::check_constants(args...);
      const auto arguments = std::tie(args...);
      if (std::get<0>(arguments).requires_grad() || wants_second(arguments)) return Autograd::apply(args...);
    }
    at::AutoDispatchBelowADInplaceOrView below;
    return call(args...);
  }

  // The kernels give derivatives of reverse mode; what is pure PyTorch gives both.
  static void refuse_tangent(const auto& argument) {
    using Arg = std::decay_t<decltype(argument)>;
    bool found = false;
    if constexpr (std::is_same_v<Arg, Tensor>) found = has_tangent(argument);
    if constexpr (std::is_same_v<Arg, std::optional<Tensor>>) found = argument && has_tangent(*argument);
    TORCH_CHECK_VALUE(!found, Call::name,
                      ": got a tensor with a tangent (forward-mode AD), wants one without; the "
                      "functions of iouloss.functional take both");
  }

  struct Autograd : torch::autograd::Function<Autograd> {
    static Tensor forward(torch::autograd::AutogradContext* ctx, Args... args) {
      at::AutoDispatchBelowADInplaceOrView below;
      Tensor losses, left;
      const auto arguments = std::tie(args...);
      if (leaves_slopes || (leaves_gradient(std::get<0>(arguments), std::get<sizeof...(Args) - 1>(arguments)) &&
                            !wants_second(arguments))) {
        static const auto op = find<LossAndLeft>(left_suffix);
        std::tie(losses, left) = op.call(args...);
      } else {
        losses = call(args...);
      }
      torch::autograd::variable_list tensors{left};
      c10::impl::GenericList options(c10::AnyType::get());
      (keep(args, tensors, options), ...);
      ctx->save_for_backward(std::move(tensors));
      ctx->saved_data["options"] = options;
      return losses;
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
                                                   const torch::autograd::variable_list& grad_outputs) {
      refuse_tangent(grad_outputs[0]);
      const auto tensors = ctx->get_saved_variables();
      Kept kept{tensors, ctx->saved_data["options"].toListRef()};
      std::tuple<std::decay_t<Args>...> arguments{kept.template next<std::decay_t<Args>>()...};
      torch::autograd::variable_list grads(sizeof...(Args));
      if constexpr (leaves_slopes) {
        grads[0] = differentiate(arguments, grad_outputs[0], tensors[0]);
      } else {
        if ((grads[0] = settled(tensors[0], grad_outputs[0], arguments)).defined()) return grads;
        if (ctx->needs_input_grad(0)) grads[0] = differentiate(arguments, grad_outputs[0]);
      }
      if constexpr (Call::symmetric)
        if (ctx->needs_input_grad(1)) {
          Call::swap(arguments);
          grads[1] = differentiate(arguments, grad_outputs[0]);
        }
      return grads;
    }
  };

  static void keep(const auto& argument, torch::autograd::variable_list& tensors, c10::impl::GenericList& options) {
    using Arg = std::decay_t<decltype(argument)>;
    if constexpr (std::is_same_v<Arg, Tensor>)
      tensors.push_back(argument);
    else if constexpr (std::is_same_v<Arg, std::optional<Tensor>>)
      tensors.push_back(argument.value_or(Tensor()));
    else if constexpr (std::is_same_v<Arg, std::string_view>)
      options.push_back(std::string(argument));
    else
      options.push_back(argument);
  }

  // The arguments again, in their order. The first tensor is what was left.
  struct Kept {
    const torch::autograd::variable_list& tensors;
    c10::ArrayRef<c10::IValue> options;
    size_t next_tensor = 1, next_option = 0;

    template <class Arg>
    Arg next() {
      if constexpr (std::is_same_v<Arg, Tensor>)
        return tensors[next_tensor++];
      else if constexpr (std::is_same_v<Arg, std::optional<Tensor>>)
        return if_defined(tensors[next_tensor++]);
      else if constexpr (std::is_same_v<Arg, std::string_view>)
        return options[next_option++].toStringView();
      else
        return options[next_option++].to<Arg>();
    }
  };

  // The backward operator, called from a backward pass: through its own autograd where create_graph asks for it (the
  // Python package registers that: pure PyTorch, which can be differentiated again), else past it.
  template <class... Before>  // the upstream gradient, and slopes that were left
  static Tensor differentiate(const auto& arguments, const Before&... before) {
    static const auto op = find<Tensor(const Before&..., Args...)>("_backward");
    const auto call_op = [&](const auto&... args) { return op.call(before..., args...); };
    if (at::GradMode::is_enabled()) return std::apply(call_op, arguments);
    at::AutoDispatchBelowADInplaceOrView below;
    return std::apply(call_op, arguments);
  }

  // What the backward pass makes of the gradient that was left; undefined where it must compute it after all, as where
  // the graph is kept: then this is not the last to ask for it.
  static Tensor settled(Tensor left, const Tensor& grad_output, const auto& arguments) {
    if (!left.defined() || at::GradMode::is_enabled() || !is_plain(grad_output) ||
        torch::autograd::get_current_graph_task_keep_graph())
      return {};
    if (left.is_cpu()) return scaled_on_cpu(left, grad_output);
#ifdef IOULOSS_CUDA
    at::AutoDispatchBelowADInplaceOrView below;
    std::apply(
        [&](const auto&... args) {
          Call call(args...);
          call.load(args...);
          call.settle(left, Upstream(grad_output));
        },
        arguments);
#endif
    return left;
  }
};

}  // namespace iouloss
