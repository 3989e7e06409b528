// Saves the inputs of an operator for the backward pass, and restores them there.
#pragma once

#include <torch/csrc/autograd/custom_function.h>

#include <tuple>

#include "inputs.h"

namespace iouloss {

// Saves the inputs. Before them it saves `first`, a tensor that the forward pass made for the backward pass.
inline void save_inputs(torch::autograd::AutogradContext* ctx, const Tensor& first, const auto&... values) {
  torch::autograd::variable_list tensors;
  c10::impl::GenericList options(c10::AnyType::get());
  tensors.reserve(1 + sizeof...(values));
  options.reserve(sizeof...(values));
  tensors.push_back(first);
  const auto save = [&](const auto& value) {
    using T = std::decay_t<decltype(value)>;
    if constexpr (std::is_same_v<T, Tensor>)
      tensors.push_back(value);
    else if constexpr (std::is_same_v<T, OptionalTensor>)
      tensors.push_back(value.value_or(Tensor()));
    else if constexpr (std::is_same_v<T, std::string_view>)
      options.push_back(std::string(value));
    else
      options.push_back(value);
  };
  (save(values), ...);
  ctx->save_for_backward(std::move(tensors));
  ctx->saved_data["options"] = options;
}

template <class Inputs, class Types = typename Inputs::Types>
class SavedInputs;

template <class Inputs, class... Ts>
class SavedInputs<Inputs, TypeList<Ts...>> {
 public:
  explicit SavedInputs(torch::autograd::AutogradContext* ctx)
      : tensors(ctx->get_saved_variables()), options(ctx->saved_data["options"]), values{next<Ts>()...} {}

  const Tensor& first() const { return tensors[0]; }
  Inputs inputs() const {
    return std::apply([](const auto&... each) { return Inputs{each...}; }, values);
  }

 private:
  const torch::autograd::variable_list tensors;
  const c10::IValue options;  // owns the strings that `values` has views of
  size_t next_tensor = 1, next_option = 0;
  const std::tuple<Ts...> values;  // declared last, because it is made from the others

  template <class T>
  T next() {
    if constexpr (std::is_same_v<T, Tensor>) {
      return tensors[next_tensor++];
    } else if constexpr (std::is_same_v<T, OptionalTensor>) {
      const Tensor& tensor = tensors[next_tensor++];
      return tensor.defined() ? OptionalTensor(tensor) : std::nullopt;
    } else {
      const c10::IValue& option = options.toListRef()[next_option++];
      if constexpr (std::is_same_v<T, std::string_view>)
        return option.toStringView();
      else
        return option.to<T>();
    }
  }
};

}  // namespace iouloss
