// The inputs of an operator, described once: as a list X(type, name) in the order of its schema. IOULOSS_INPUTS makes a
// struct of the list. All that needs the order, the types or the names of the inputs is made of that struct: the
// schema, the function that the dispatcher calls, what autograd saves, the check that certain inputs require no
// gradient, and the function that Python calls.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <string_view>
#include <tuple>

namespace iouloss {

using at::Tensor;
using OptionalTensor = std::optional<Tensor>;

// A tensor that the caller owns until the call ends. So it can be passed on without counting a reference.
class TensorInput {
 public:
  TensorInput(const Tensor& tensor) : tensor_(&tensor) {}
  operator const Tensor&() const { return *tensor_; }
  const Tensor& operator*() const { return *tensor_; }
  const Tensor* operator->() const { return tensor_; }

 private:
  const Tensor* tensor_;
};

class OptionalTensorInput {
 public:
  OptionalTensorInput(const OptionalTensor& tensor) : tensor_(&tensor) {}
  explicit operator bool() const { return tensor_->has_value(); }
  operator const OptionalTensor&() const { return *tensor_; }
  const Tensor& operator*() const { return **tensor_; }
  const Tensor* operator->() const { return &**tensor_; }

 private:
  const OptionalTensor* tensor_;
};

// For each type of input: how the struct holds it, how functions pass it, and (schema_type, below) what a schema calls
// it.
template <class T>
struct InputType {
  using Held = T;
  using Passed = T;
};
template <>
struct InputType<Tensor> {
  using Held = TensorInput;
  using Passed = const Tensor&;
};
template <>
struct InputType<OptionalTensor> {
  using Held = OptionalTensorInput;
  using Passed = const OptionalTensor&;
};

template <class T>
using Held = typename InputType<T>::Held;
template <class T>
using Passed = typename InputType<T>::Passed;

template <class T>
inline constexpr const char* schema_type = nullptr;
template <>
inline constexpr const char* schema_type<Tensor> = "Tensor";
template <>
inline constexpr const char* schema_type<OptionalTensor> = "Tensor?";
template <>
inline constexpr const char* schema_type<double> = "float";
template <>
inline constexpr const char* schema_type<std::optional<double>> = "float?";
template <>
inline constexpr const char* schema_type<int64_t> = "int";
template <>
inline constexpr const char* schema_type<std::optional<int64_t>> = "int?";
template <>
inline constexpr const char* schema_type<bool> = "bool";
template <>
inline constexpr const char* schema_type<std::string_view> = "str";

template <class... Ts>
struct TypeList {};
template <class First, class... Rest>
TypeList<Rest...> without_first(TypeList<First, Rest...>);
auto tuple_without_first(int, const auto&... rest) { return std::tuple(rest...); }

// Each element of these lists starts with a comma. So a dummy stands before the list, and is dropped.
#define IOULOSS_INPUT_MEMBER(type, name) Held<type> name;
#define IOULOSS_INPUT_NAME(type, name) #name,
#define IOULOSS_INPUT_TYPE(type, name) , type
#define IOULOSS_INPUT_VALUE(type, name) , name

#define IOULOSS_INPUTS(Name, LIST)                                                              \
  struct Name {                                                                                 \
    LIST(IOULOSS_INPUT_MEMBER)                                                                  \
    static constexpr const char* names[] = {LIST(IOULOSS_INPUT_NAME)};                          \
    using Types = decltype(without_first(TypeList<void LIST(IOULOSS_INPUT_TYPE)>()));           \
    auto values() const { return tuple_without_first(0 LIST(IOULOSS_INPUT_VALUE)); } /* Held */ \
  }

namespace detail {
template <class... Ts>
std::string schema_arguments(const char* const* names, TypeList<Ts...>) {
  std::string text;
  size_t i = 0;
  ((text += std::string(i ? ", " : "") + schema_type<Ts> + " " + names[i], ++i), ...);
  return text;
}
}  // namespace detail

// The inputs as a schema lists them: "Tensor pred, Tensor target, Tensor? weight, ...".
template <class Inputs>
std::string schema_arguments() {
  return detail::schema_arguments(Inputs::names, typename Inputs::Types());
}

inline const Tensor& passed(const TensorInput& input) { return input; }
inline const OptionalTensor& passed(const OptionalTensorInput& input) { return input; }
template <class T>
const T& passed(const T& input) {
  return input;
}

// The prediction, and the other tensor if there is a pair.
const Tensor& first(const auto& inputs) { return std::get<0>(inputs.values()); }
const Tensor& second(const auto& inputs) { return std::get<1>(inputs.values()); }

// Calls f with all inputs, in their order, each as functions pass it.
template <class Inputs>
decltype(auto) apply(const Inputs& in, auto&& f) {
  return std::apply([&](const auto&... input) -> decltype(auto) { return f(passed(input)...); }, in.values());
}

// Calls f(i, tensor) for each input that is a tensor; i is its index among all inputs.
template <class Inputs>
void for_each_tensor(const Inputs& in, auto&& f) {
  int i = 0;
  const auto visit = [&](const auto& input) {
    using T = std::decay_t<decltype(input)>;
    if constexpr (std::is_same_v<T, TensorInput>) f(i, *input);
    if constexpr (std::is_same_v<T, OptionalTensorInput>)
      if (input) f(i, *input);
    ++i;
  };
  std::apply([&](const auto&... input) { (visit(input), ...); }, in.values());
}

}  // namespace iouloss
