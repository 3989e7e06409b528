#include "decoder.h"

#include <algorithm>

namespace emulated {

namespace {

Type type_named(std::string_view word) {
  static const std::unordered_map<std::string_view, Type> types{
      {"pred", Type::pred}, {"b8", Type::u8},   {"u8", Type::u8},       {"s8", Type::s8},         {"b16", Type::u16},
      {"u16", Type::u16},   {"s16", Type::s16}, {"b32", Type::u32},     {"u32", Type::u32},       {"s32", Type::s32},
      {"b64", Type::u64},   {"u64", Type::u64}, {"s64", Type::s64},     {"f16", Type::f16},       {"bf16", Type::bf16},
      {"f32", Type::f32},   {"f64", Type::f64}, {"f16x2", Type::f16x2}, {"bf16x2", Type::bf16x2},
  };
  auto found = types.find(word);
  return found == types.end() ? Type::none : found->second;
}

// "ld.global.L2::128B.f32" into its words.
std::vector<std::string_view> words(std::string_view op) {
  std::vector<std::string_view> found;
  for (size_t begin = 0; begin < op.size();) {
    size_t end = std::min(op.find_first_of(".:", begin), op.size());
    if (end > begin) found.push_back(op.substr(begin, end - begin));
    begin = end + 1;
  }
  return found;
}

const Table& table() {
  static const Table ops = [] {
    Table t;
    add_arithmetic_ops(t);
    add_bit_ops(t);
    add_selection_ops(t);
    add_conversion_ops(t);
    add_memory_ops(t);
    add_warp_ops(t);
    add_control_ops(t);
    return t;
  }();
  return ops;
}

}  // namespace

Decoder::Decoder(Kernel& kernel, const EncodedInstruction& encoded, const char* strings,
                 const std::vector<Operand>& registers)
    : kernel_(kernel),
      encoded_(encoded),
      text_(strings + encoded.text),
      registers_(registers),
      words_(words(strings + encoded.op)) {
  for (std::string_view word : words_) {
    Type type = type_named(word);
    understood_.push_back(type != Type::none);
    if (type != Type::none) types_.push_back(type);
  }
  understood_[0] = true;
  if (encoded.operands > max_operands) unsupported();
  instruction.operands = uint8_t(encoded.operands);
  instruction.offset = encoded.offset;
  instruction.target = encoded.target;
  if (encoded.guard >= 0) instruction.guard = registers_[encoded.guard].offset;
  instruction.guard_negated = encoded.guard_negated;
}

bool Decoder::take(std::string_view modifier) {
  auto found = std::find(words_.begin() + 1, words_.end(), modifier);
  if (found == words_.end()) return false;
  understood_[found - words_.begin()] = true;
  return true;
}

Type Decoder::type(int n) const {
  size_t i = n < 0 ? types_.size() - 1 : size_t(n);
  if (i >= types_.size()) unsupported();
  return types_[i];
}

bool Decoder::is_register_of(int k, size_t bytes) const {
  const EncodedOperand& operand = encoded_.operand[k];
  return operand.kind == OperandKind::reg && registers_[operand.value].width == bytes;
}

uint64_t Decoder::literal(int k) const {
  if (k >= encoded_.operands || encoded_.operand[k].kind == OperandKind::reg) unsupported();
  return encoded_.operand[k].value;
}

void Decoder::bind(int k, size_t literal_bytes, uint64_t literal_bits) {
  if (k >= encoded_.operands) unsupported();
  const EncodedOperand& from = encoded_.operand[k];
  Operand& operand = instruction.operand[k];
  if (from.kind == OperandKind::reg) {
    operand = registers_[from.value];
  } else if (from.kind == OperandKind::sink) {
    operand = {kernel_.sink, uint8_t(literal_bytes)};
  } else {
    operand = {int32_t(kernel_.constants.size()), uint8_t(literal_bytes), true};
    kernel_.constants.resize(kernel_.constants.size() + warp_size * literal_bytes);
    for (int lane = 0; lane < warp_size; ++lane)
      std::memcpy(&kernel_.constants[operand.offset + lane * literal_bytes], &literal_bits, literal_bytes);
  }
  operand.negated = from.negated;
}

Instruction Decoder::finish(Handler handler) {
  if (!std::ranges::all_of(understood_, std::identity{})) unsupported();
  instruction.run = handler;
  return instruction;
}

uint64_t Decoder::unsupported() const { throw Fault(text("PTX not implemented: %s", text_)); }

Kernel::Kernel(const EncodedKernel& encoded)
    : name(encoded.name),
      entry(encoded.entry),
      static_shared(encoded.static_shared),
      local_bytes(encoded.local_bytes),
      max_threads(encoded.max_threads) {
  std::vector<Operand> registers;
  for (int i = 0; i < encoded.registers; ++i) {
    registers.push_back({register_file, encoded.register_bytes[i]});
    register_file += warp_size * encoded.register_bytes[i];
  }
  sink = register_file;
  register_file += warp_size * 8;
  for (int i = 0; i < encoded.special_count; ++i)
    specials.push_back({encoded.specials[i].which, registers[encoded.specials[i].reg].offset});
  for (int i = 0; i < encoded.instructions; ++i) {
    texts.push_back(encoded.strings + encoded.code[i].text);
    Decoder decoder(*this, encoded.code[i], encoded.strings, registers);
    auto builder = table().find(decoder.op());
    if (builder == table().end()) decoder.unsupported();
    code.push_back(decoder.finish(builder->second(decoder)));
  }
}

}  // namespace emulated
