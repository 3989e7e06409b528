// From an encoded instruction to one that can run: which function does it, and where its operands are.
#pragma once

#include <bit>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "fault.h"
#include "machine.h"
#include "number.h"

namespace emulated {

// b32 and the like count as unsigned; f16x2 is a register with two f16.
enum class Type : uint8_t { none, pred, u8, s8, u16, s16, u32, s32, u64, s64, f16, bf16, f32, f64, f16x2, bf16x2 };

inline bool is_float_type(Type type) { return type >= Type::f16; }
inline bool is_signed_type(Type type) {
  return type == Type::s8 || type == Type::s16 || type == Type::s32 || type == Type::s64;
}

template <class T>
constexpr Type type_of() {
  if constexpr (std::is_same_v<T, bool>) return Type::pred;
  if constexpr (std::is_same_v<T, Half>) return Type::f16;
  if constexpr (std::is_same_v<T, BFloat16>) return Type::bf16;
  if constexpr (std::is_floating_point_v<T>) return sizeof(T) == 4 ? Type::f32 : Type::f64;
  constexpr Type unsigned_types[] = {Type::u8, Type::u16, Type::u32, Type::u64};
  Type type = unsigned_types[std::countr_zero(sizeof(T))];
  return std::is_signed_v<T> ? Type(int(type) + 1) : type;  // each is followed by its signed one
}

class Decoder {
 public:
  Decoder(Kernel& kernel, const EncodedInstruction& encoded, const char* strings,
          const std::vector<Operand>& registers);

  Instruction instruction;

  std::string_view op() const { return words_.front(); }
  // Whether the modifier is there; it counts as understood then.
  bool take(std::string_view modifier);
  // The place among the names of the one that is there; raises if none is.
  template <size_t N>
  uint8_t take_one_of(const std::string_view (&names)[N]) {
    for (size_t i = 0; i < N; ++i)
      if (take(names[i])) return uint8_t(i);
    unsupported();
  }
  // The n-th type named; the last one by default.
  Type type(int n = -1) const;
  int operands() const { return encoded_.operands; }
  bool is_register_of(int k, size_t bytes) const;
  uint64_t literal(int k) const;

  // Operand k holds Ts: a register of their width, or a literal.
  template <class T>
  void bind(int k) {
    bind(k, sizeof(T), literal_as<T>(k));
    if (instruction.operand[k].width != sizeof(T)) unsupported();
  }
  // A register of any width, or a literal of that one.
  void bind(int k, size_t literal_bytes, uint64_t literal_bits);
  void bind(int k, size_t literal_bytes) { bind(k, literal_bytes, encoded_.operand[k].value); }

  // Raises if a modifier was not understood.
  Instruction finish(Handler handler);
  // Raises; it has a type so that it may stand in a conditional expression.
  [[noreturn]] uint64_t unsupported() const;

 private:
  template <class T>
  uint64_t literal_as(int k) const;

  Kernel& kernel_;
  const EncodedInstruction& encoded_;
  const char* text_;
  const std::vector<Operand>& registers_;
  std::vector<std::string_view> words_;
  std::vector<bool> understood_;
  std::vector<Type> types_;
};

template <class T>
uint64_t Decoder::literal_as(int k) const {
  auto [value, kind, _] = encoded_.operand[k];
  if (kind != OperandKind::f32 && kind != OperandKind::f64) return value;
  double number =
      kind == OperandKind::f32 ? double(std::bit_cast<float>(uint32_t(value))) : std::bit_cast<double>(value);
  if constexpr (std::is_same_v<T, float>) return std::bit_cast<uint32_t>(float(number));
  if constexpr (std::is_same_v<T, double>) return std::bit_cast<uint64_t>(number);
  if constexpr (is_small<T>) return T(number).bits;
  return value;
}

inline int take_rounding(Decoder& d) {
  d.take("rn");
  return d.take("rz") ? FE_TOWARDZERO : d.take("rm") ? FE_DOWNWARD : d.take("rp") ? FE_UPWARD : FE_TONEAREST;
}

// Chooses what to do with an instruction of some name.
using Builder = Handler (*)(Decoder&);
using Table = std::unordered_map<std::string_view, Builder>;

void add_arithmetic_ops(Table& table);
void add_bit_ops(Table& table);
void add_selection_ops(Table& table);
void add_conversion_ops(Table& table);
void add_memory_ops(Table& table);
void add_warp_ops(Table& table);
void add_control_ops(Table& table);

// Make for the one of the types Ts that `type` is.
template <class... Ts, class Make>
Handler for_type(Decoder& decoder, Type type, Make make) {
  Handler handler = nullptr;
  ((type_of<Ts>() == type ? void(handler = make.template operator()<Ts>()) : void()), ...);
  return handler ? handler : (decoder.unsupported(), nullptr);
}

// Result = f(instruction, Inputs...), lane by lane; f has no state.
template <class Result, class... Inputs, class F>
Handler lanewise_of(Decoder& decoder, F) {
  static_assert(std::is_empty_v<F>);
  int k = 0;
  decoder.bind<Result>(k++);
  (decoder.bind<Inputs>(k++), ...);
  return [](Warp& warp, const Instruction& instruction, Mask mask) {
    [&]<size_t... I>(std::index_sequence<I...>) {
      Result* out = warp.out<Result>(instruction.operand[0]);
      std::tuple in{warp.in<Inputs>(instruction.operand[I + 1])...};
      each_alone(mask, [&](int lane) { out[lane] = Result(F{}(instruction, std::get<I>(in)[lane]...)); });
    }(std::index_sequence_for<Inputs...>{});
  };
}

// Result = f(Inputs...), lane by lane; f has no state.
template <class Result, class... Inputs, class F>
Handler lanewise(Decoder& decoder, F) {
  static_assert(std::is_empty_v<F>);
  return lanewise_of<Result, Inputs...>(decoder, [](const Instruction&, auto... inputs) { return F{}(inputs...); });
}

}  // namespace emulated
