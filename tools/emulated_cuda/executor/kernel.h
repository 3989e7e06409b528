// A kernel as Python hands it over, and as the executor keeps it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace emulated {

inline constexpr int warp_size = 32;
inline constexpr int max_operands = 12;
using Mask = uint32_t;  // a bit per lane
inline constexpr Mask all_lanes = 0xFFFFFFFF;

// --- As encode.py writes it. The layouts agree. ---

enum class OperandKind : int32_t { reg, sink, integer, f32, f64 };

struct EncodedOperand {
  uint64_t value;  // a register's number, or the bits of a literal; a sink (_) takes any result
  OperandKind kind;
  int32_t negated;  // !%p
};

struct EncodedInstruction {
  int64_t offset;     // of [register + offset]
  uint32_t op, text;  // where in the strings: the op with its modifiers, and the statement
  int32_t guard;      // the number of the predicate's register, or -1
  int32_t guard_negated;
  int32_t target;  // of a branch or a call: an index into the code
  int32_t operands;
  EncodedOperand operand[max_operands];
};

// The registers that the machine fills in, in the order of encode.py.
enum class Special : int32_t {
  tid_x,
  tid_y,
  tid_z,
  ntid_x,
  ntid_y,
  ntid_z,
  ctaid_x,
  ctaid_y,
  ctaid_z,
  nctaid_x,
  nctaid_y,
  nctaid_z,
  laneid,
  warpid,
  nwarpid,
  lanemask_eq,
  lanemask_lt,
  lanemask_le,
  lanemask_gt,
  lanemask_ge,
  dynamic_smem_size,
  total_smem_size
};

struct EncodedSpecial {
  Special which;
  int32_t reg;
};

struct EncodedKernel {
  const char* name;
  const EncodedInstruction* code;
  const char* strings;
  const uint8_t* register_bytes;  // per register: 1 for a predicate, else 2, 4 or 8
  const EncodedSpecial* specials;
  int32_t instructions, registers, special_count;
  int32_t entry;  // the index of the first instruction
  int32_t static_shared, local_bytes, max_threads;
};

// --- As executed. ---

struct Operand {
  int32_t offset = 0;  // of the values of the 32 lanes, in the register file or among the constants
  uint8_t width = 0;   // bytes of one value
  bool constant = false, negated = false;
};

enum class Control : uint8_t { none, branch, call, leave, exit, barrier, sync };
enum class Space : uint8_t { generic, global, shared, local, param, call };
enum class Combine : uint8_t { none, conjunction, disjunction, exclusive };
enum class BarrierVote : uint8_t { none, count, all, any };

struct Warp;
struct Instruction;
using Handler = void (*)(Warp&, const Instruction&, Mask);

struct Instruction {
  Handler run = nullptr;
  int32_t guard = -1;  // its offset in the register file
  bool guard_negated = false;
  Control control = Control::none;
  int32_t target = 0;
  int64_t offset = 0;
  Operand operand[max_operands];
  uint8_t operands = 0;

  // What modifiers say and the choice of the handler does not.
  uint8_t mode = 0;  // a handler's own: a table, the relations of a comparison, a vote
  // of arithmetic
  int rounding = 0;  // a mode of <cfenv>
  bool flush = false, saturate = false, relu = false, wrap = false;
  uint8_t source = 0;  // the type that is converted
  Combine combine = Combine::none;
  // of barriers
  uint32_t barrier = 0;  // its number
  // of accesses to memory
  Space space = Space::generic;
  uint8_t vector = 1;      // elements
  bool read_only = false;  // ld.global.nc
  bool strong = false, acquire = false, release = false, block_scope = false;
};

struct Kernel {
  explicit Kernel(const EncodedKernel& encoded);

  std::string name;
  std::vector<Instruction> code;
  std::vector<std::string> texts;                 // of the instructions
  std::vector<std::byte> constants;               // literals, each repeated for the 32 lanes
  std::vector<std::pair<Special, int>> specials;  // and their offsets in the register file
  int register_file = 0, sink = 0;                // bytes per warp, and where in them results go that nobody wants
  int entry, static_shared, local_bytes, max_threads;
};

}  // namespace emulated
