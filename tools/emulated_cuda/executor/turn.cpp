#include "turn.h"

#include <algorithm>
#include <limits>

#include "fault.h"

namespace emulated {

namespace {

constexpr int32_t nowhere = std::numeric_limits<int32_t>::max();

Mask guarded(const Warp& warp, const Instruction& instruction, Mask lanes) {
  if (instruction.guard < 0) return lanes;
  const auto* predicate = reinterpret_cast<const uint8_t*>(warp.registers + instruction.guard);
  Mask yes = 0;
  for (int lane = 0; lane < warp_size; ++lane) yes |= Mask(predicate[lane]) << lane;
  return lanes & (instruction.guard_negated ? ~yes : yes);
}

// Of the lanes at a .sync instruction, those whose partners have all arrived.
Mask met(const Warp& warp, const Instruction& instruction, Mask lanes) {
  const auto* named = warp.in<uint32_t>(instruction.operand[instruction.operands - 1]);
  Mask ready = 0;
  each(lanes, [&](int lane) {
    if (!(named[lane] >> lane & 1)) throw Fault(text("lane %d is not in its own mask of lanes that take part", lane));
    if (!(named[lane] & warp.live & ~lanes)) ready |= 1u << lane;
  });
  return ready;
}

// The lanes of a warp go together wherever their program counters agree. The lowest goes first, so that lanes that
// parted meet again where their ways join.
class Turn {
 public:
  Turn(Warp& warp, int longest) : warp_(warp), launch_(*warp.launch), longest_(longest) {}

  int run() {
    while (left() && gather()) {
      try {
        while (left() && lanes_ && pc_ < next_) step();
      } catch (const Fault& fault) {
        throw Fault(text("%s: %s: %s (block %u, warp %d)", launch_.kernel.name.c_str(), fault.what(),
                         launch_.kernel.texts[pc_].c_str(), warp_.block->number, warp_.index));
      }
      move(lanes_, pc_);
    }
    if (warp_.stalled && !(warp_.live & ~warp_.waiting & ~warp_.stalled)) lost_lanes();
    return taken_;
  }

 private:
  bool left() const { return taken_ < longest_; }

  // The lanes that go first, and the next place where others are.
  bool gather() {
    pc_ = next_ = nowhere, lanes_ = 0;
    each(warp_.live & ~warp_.waiting & ~warp_.stalled, [&](int lane) { pc_ = std::min(pc_, warp_.pc[lane]); });
    each(warp_.live & ~warp_.waiting, [&](int lane) {
      if (warp_.pc[lane] == pc_)
        lanes_ |= 1u << lane;
      else if (warp_.pc[lane] > pc_)
        next_ = std::min(next_, warp_.pc[lane]);
    });
    warp_.stalled &= ~lanes_;
    return lanes_;
  }

  void step() {
    const Instruction& instruction = launch_.kernel.code[pc_];
    ++taken_;
    Mask active = guarded(warp_, instruction, lanes_);
    if (instruction.control == Control::sync && active) {
      Mask late = active & ~met(warp_, instruction, active);
      part(late, pc_);
      warp_.stalled |= late;
      active &= ~late;
    }
    if (!active) {
      ++pc_;
      return;
    }
    launch_.counts[pc_].threads += std::popcount(active);
    ++launch_.counts[pc_].warps;
    if (instruction.control == Control::none || instruction.control == Control::sync) {
      instruction.run(warp_, instruction, active);
      ++pc_;
    } else {
      redirect(instruction, active);
    }
  }

  void redirect(const Instruction& instruction, Mask active) {
    switch (instruction.control) {
      case Control::call:
        each(active, [&](int lane) { warp_.out<int32_t>(instruction.operand[0])[lane] = pc_ + 1; });
        [[fallthrough]];
      case Control::branch: return branch(active, instruction.target);
      case Control::leave:
        part(active, pc_);
        each(active, [&](int lane) {
          warp_.pc[lane] = warp_.in<int32_t>(instruction.operand[0])[lane];
          next_ = std::min(next_, warp_.pc[lane]);
        });
        break;
      case Control::exit:
        lanes_ &= ~active;
        warp_.live &= ~active;
        warp_.stalled = 0;  // some may have waited for these
        break;
      default: part(active, pc_); warp_.waiting |= active;
    }
    ++pc_;
  }

  void branch(Mask active, int32_t target) {
    Mask others = lanes_ & ~active;
    if (others && target > pc_) {
      part(active, target);
      next_ = std::min(next_, target);
      ++pc_;
    } else {
      if (others) next_ = std::min(next_, pc_ + 1);
      part(others, pc_ + 1);
      pc_ = target;
    }
  }

  // Leaves lanes behind at a place.
  void part(Mask lanes, int32_t at) {
    lanes_ &= ~lanes;
    move(lanes, at);
  }

  void move(Mask lanes, int32_t to) {
    each(lanes, [&](int lane) { warp_.pc[lane] = to; });
  }

  [[noreturn]] void lost_lanes() const {
    int32_t pc = warp_.pc[std::countr_zero(warp_.stalled)];
    throw Fault(text("%s: lanes named by a .sync instruction never arrive: %s", launch_.kernel.name.c_str(),
                     launch_.kernel.texts[pc].c_str()));
  }

  Warp& warp_;
  Launch& launch_;
  const int longest_;
  int taken_ = 0;
  Mask lanes_ = 0;          // that go now
  int32_t pc_ = nowhere;    // where they are
  int32_t next_ = nowhere;  // the nearest place ahead where others are
};

}  // namespace

int take_turn(Warp& warp, int longest) { return Turn(warp, longest).run(); }

}  // namespace emulated
