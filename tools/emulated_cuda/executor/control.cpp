// Branches, calls and barriers: turn.cpp and block.cpp do what they say. And what does nothing here.
#include "decoder.h"

namespace emulated {

namespace {

void nothing(Warp&, const Instruction&, Mask) {}

template <Control control>
Handler jump(Decoder& d) {
  d.take("uni");
  d.instruction.control = control;
  if (d.operands() > 0) d.bind<uint32_t>(0);  // where a function keeps the way back
  return nothing;
}

constexpr std::string_view vote_names[] = {"popc", "and", "or"};  // as BarrierVote

// bar.sync number; bar.red.vote d, number, {!}p. A barrier of a part of the block is not implemented.
Handler bar(Decoder& d) {
  Instruction& i = d.instruction;
  if (d.take("warp")) {  // __syncwarp
    if (!d.take("sync")) d.unsupported();
    i.control = Control::sync;
    d.bind<uint32_t>(0);
    return [](Warp& warp, const Instruction&, Mask mask) { warp.clock.sync(mask, warp.live); };
  }
  i.control = Control::barrier;
  for (const char* word : {"cta", "aligned"}) d.take(word);
  const bool votes = d.take("red");
  if (votes) {
    i.mode = uint8_t(1 + d.take_one_of(vote_names));
    d.bind(0, 4);
    d.bind<bool>(d.operands() - 1);
  } else if (!d.take("sync")) {
    d.unsupported();
  }
  if (d.operands() != (votes ? 3 : 1)) d.unsupported();
  i.barrier = uint32_t(d.literal(votes));
  return nothing;
}

// Hints to the caches, and waits that have nothing to wait for.
Handler no_op(Decoder& d) {
  for (const char* word : {"L1", "L2", "global", "local", "evict_last", "evict_normal", "fractional", "range",
                           "evict_first", "evict_unchanged", "launch_dependents", "wait"})
    d.take(word);
  return nothing;
}

Handler trap(Decoder&) {
  return [](Warp&, const Instruction&, Mask) { throw Fault("trap"); };
}

// The call of __assertfail(message, file, line, function): encode.py gives where its first parameter is.
Handler assertion(Decoder&) {
  return [](Warp& warp, const Instruction& instruction, Mask mask) {
    size_t local = std::countr_zero(mask) * size_t(warp.launch->kernel.local_bytes);
    throw Fault(text("device assertion failed: %s", copied<const char*>(warp.local + local + instruction.offset)));
  };
}

// Copies parameters to where the called function expects them, and its results back: bytes from one place in the
// memory of calls to another.
Handler copy_parameter(Decoder& d) {
  for (int k = 0; k < 3; ++k) d.bind<uint64_t>(k);
  return [](Warp& warp, const Instruction& instruction, Mask mask) {
    uint64_t to = *warp.in<uint64_t>(instruction.operand[0]), from = *warp.in<uint64_t>(instruction.operand[1]);
    each(mask, [&](int lane) {
      std::byte* own = warp.local + size_t(lane) * warp.launch->kernel.local_bytes;
      std::memcpy(own + to, own + from, *warp.in<uint64_t>(instruction.operand[2]));
    });
  };
}

}  // namespace

void add_control_ops(Table& table) {
  table["bra"] = jump<Control::branch>;
  table["call"] = jump<Control::call>;
  table["leave"] = jump<Control::leave>;  // encode.py's word for the ret of a called function
  table["ret"] = table["exit"] = jump<Control::exit>;
  table["bar"] = table["barrier"] = bar;
  table["trap"] = trap;
  table["assertfail"] = assertion;
  table["copy_parameter"] = copy_parameter;
  for (const char* name :
       {"prefetch", "prefetchu", "createpolicy", "nanosleep", "griddepcontrol", "brkpt", "pmevent", "nop"})
    table[name] = no_op;
}

}  // namespace emulated
