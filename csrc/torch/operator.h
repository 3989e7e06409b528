// Makes an operator of the dispatcher out of a function of inputs: its schema, its registration and the way to call it.
#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

#include <string>

#include "checks.h"
#include "inputs.h"

namespace iouloss {

// The keys that one implementation of an operator serves.
#ifdef IOULOSS_CUDA
inline constexpr c10::DispatchKey device_keys[] = {c10::DispatchKey::CPU, c10::DispatchKey::CUDA,
                                                   c10::DispatchKey::Meta};
#else
inline constexpr c10::DispatchKey device_keys[] = {c10::DispatchKey::CPU, c10::DispatchKey::Meta};
#endif

// The keys of tensors that no kernel takes: sparse, quantised, nested ones.
inline constexpr c10::DispatchKey refused_keys[] = {
    c10::DispatchKey::SparseCPU,       c10::DispatchKey::SparseCUDA,       c10::DispatchKey::SparseCsrCPU,
    c10::DispatchKey::SparseCsrCUDA,   c10::DispatchKey::QuantizedCPU,     c10::DispatchKey::QuantizedCUDA,
    c10::DispatchKey::NestedTensorCPU, c10::DispatchKey::NestedTensorCUDA, c10::DispatchKey::MkldnnCPU};

// The function type of an operator. It takes what comes before the inputs (such as an upstream gradient), then the
// inputs one by one.
template <class Types, class Result, class... Before>
struct OperatorType;
template <class... Ts, class Result, class... Before>
struct OperatorType<TypeList<Ts...>, Result, Before...> {
  using type = Result(Before..., Passed<Ts>...);
};
template <class Inputs, class Result, class... Before>
using Operator = typename OperatorType<typename Inputs::Types, Result, Before...>::type;

// Turns a function Result f(const Inputs&, Before...) into one that the dispatcher can call.
template <auto function, class Type = decltype(function), class Types = void>
struct Unpacked;
template <auto function, class Result, class Inputs, class... Before>
struct Unpacked<function, Result (*)(const Inputs&, Before...), void>
    : Unpacked<function, Result (*)(const Inputs&, Before...), typename Inputs::Types> {};
template <auto function, class Result, class Inputs, class... Before, class... Ts>
struct Unpacked<function, Result (*)(const Inputs&, Before...), TypeList<Ts...>> {
  static Result call(Before... before, Passed<Ts>... values) { return function(Inputs{values...}, before...); }
};

// Defines iouloss::NAME, which `function` serves on every device. `before` is the part of the schema that comes before
// the inputs.
template <auto function, class Inputs>
void define_operator(torch::Library& m, const std::string& name, const char* results, const std::string& before = "") {
  const std::string schema = name + "(" + before + schema_arguments<Inputs>() + ") -> " + results;
  m.def(torch::schema(schema.c_str()), {at::Tag::pt2_compliant_tag});
  for (const auto key : device_keys) m.impl(name.c_str(), torch::dispatch(key, TORCH_FN(Unpacked<function>::call)));
  for (const auto key : refused_keys)
    m.impl(name.c_str(), torch::dispatch(key, torch::CppFunction::makeFromBoxedFunction<&refuse_layout>()));
}

template <auto function>
void define_autograd(torch::Library& m, const char* name) {
  m.impl(name, torch::dispatch(c10::DispatchKey::Autograd, TORCH_FN(Unpacked<function>::call)));
}

// Looks up the operator iouloss::NAME. A caller does that once, and stores what it found.
template <class Inputs, class Result, class... Before>
auto find_operator(const std::string& name) {
  const auto op = c10::Dispatcher::singleton().findSchemaOrThrow(("iouloss::" + name).c_str(), "");
  return op.template typed<Operator<Inputs, Result, Before...>>();
}

}  // namespace iouloss
